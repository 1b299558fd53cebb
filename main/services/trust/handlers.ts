import { engineRouter } from "../../contract/server.ts"
import type { Ports } from "../ports.ts"
import { redirectFleet } from "../release/director.ts"
import { assemble, discardDraft, lookAtRequest, signRequest, writeRequest } from "./ceremony.ts"
import { changeTrust, initTrust } from "./change.ts"
import { refreshImage } from "./publish.ts"
import { showTrust } from "./show.ts"

export function trustHandlers(ports: Ports) {
  const os = engineRouter.trust
  const alone = async <T>(signal: AbortSignal | undefined, work: () => Promise<T>) =>
    ports.locks.exclusive("desk", signal, work)
  return {
    init: os.init.handler(async ({ input, signal }) => alone(signal, async () => initTrust(ports, input))),
    show: os.show.handler(async () => showTrust(ports)),
    change: os.change.handler(async ({ input, signal }) =>
      alone(signal, async () => changeTrust(ports, input)),
    ),
    request: os.request.handler(async ({ input }) => writeRequest(ports, input.output)),
    look: os.look.handler(async ({ input }) => lookAtRequest(ports, input.request)),
    sign: os.sign.handler(async ({ input }) => signRequest(ports, input)),
    assemble: os.assemble.handler(async ({ input, signal }) =>
      alone(signal, async () => assemble(ports, input.answers)),
    ),
    discard: os.discard.handler(async ({ signal }) => alone(signal, async () => discardDraft(ports))),
    refresh: os.refresh.handler(async ({ signal }) =>
      alone(signal, async () => {
        await refreshImage(ports)
        await redirectFleet(ports)
        return showTrust(ports)
      }),
    ),
  }
}
