/** The contract's part about served runtimes. */
import { engineRouter } from "../../contract/server.ts"
import type { Jobs } from "../jobs.ts"
import type { Ports } from "../ports.ts"

export function servingHandlers(ports: Ports, jobs: Jobs) {
  const os = engineRouter.runtimes
  return {
    start: os.start.handler(async ({ input, signal }) =>
      jobs.start(
        `serve ${ports.files.nameOf(input.file)}`,
        async (job) => ports.served.start(input, job.signal),
        signal,
      ),
    ),
    list: os.list.handler(async () => [...(await ports.served.list())]),
    stop: os.stop.handler(async ({ input }) => ports.served.stop(input.id)),
    clear: os.clear.handler(async ({ input }) => ports.served.clear(input.id, input.client)),
  }
}
