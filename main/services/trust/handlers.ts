import { engineRouter } from "../../contract/server.ts"
import type { Ports } from "../ports.ts"
import { assemble, discardDraft, signRequest, writeRequest } from "./ceremony.ts"
import { changeTrust, initTrust } from "./change.ts"
import { refreshImage } from "./publish.ts"
import { showTrust } from "./show.ts"

export function trustHandlers(ports: Ports) {
  const os = engineRouter.trust
  return {
    init: os.init.handler(async ({ input }) => initTrust(ports, input)),
    show: os.show.handler(async () => showTrust(ports)),
    change: os.change.handler(async ({ input }) => changeTrust(ports, input)),
    request: os.request.handler(async ({ input }) => writeRequest(ports, input.output)),
    sign: os.sign.handler(async ({ input }) => signRequest(ports, input)),
    assemble: os.assemble.handler(async ({ input }) => assemble(ports, input.answers)),
    discard: os.discard.handler(async () => discardDraft(ports)),
    refresh: os.refresh.handler(async () => {
      await refreshImage(ports)
      return showTrust(ports)
    }),
  }
}
