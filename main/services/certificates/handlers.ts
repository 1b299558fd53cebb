/** The contract's part about certificates. What reads and writes them is large and loaded when it is first asked for. */
import { engineRouter } from "../../contract/server.ts"
import type { Ports } from "../ports.ts"

export function certificateHandlers(ports: Ports) {
  const os = engineRouter.certificates
  const load = async () => import("./certificates.ts")
  return {
    show: os.show.handler(async ({ input }) => (await load()).showCertificates(ports, input.file)),
    verify: os.verify.handler(async ({ input }) => (await load()).verifyCertificate(ports, input)),
    request: os.request.handler(async ({ input }) => (await load()).requestCertificate(ports, input)),
  }
}

export function importKeyHandler(ports: Ports) {
  return engineRouter.keys.import.handler(async ({ input }) =>
    (await import("./certificates.ts")).importKey(ports, input),
  )
}
