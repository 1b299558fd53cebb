import { engineRouter } from "../../contract/server.ts"
import type { Ports } from "../ports.ts"
import { proveEntry, showLog } from "./trust-log.ts"

export function logHandlers(ports: Ports) {
  const os = engineRouter.log
  return {
    show: os.show.handler(async () => showLog(ports)),
    prove: os.prove.handler(async ({ input }) => {
      const { entry, size, proof } = await proveEntry(ports, input.index)
      const file = await ports.files.create(input.output.file, {
        replace: input.output.replace,
        isSecret: false,
      })
      try {
        await file.write(0, proof)
        await file.commit()
      } finally {
        await file.discard()
      }
      return { entry, size }
    }),
  }
}
