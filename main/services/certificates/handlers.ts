/**
 * The contract's part about certificates people already have, and about keys that have some. What reads and writes them is
 * large, so it is loaded when it is first asked for.
 */
import { engineRouter } from "../../contract/server.ts"
import type { Ports } from "../ports.ts"

export function certificateHandlers(ports: Ports) {
  const os = engineRouter.certificates
  const facts = async () => import("./facts.ts")
  const judge = async () => import("./judge.ts")
  const attach = async () => import("./attach.ts")
  const own = async () => import("./own.ts")
  return {
    show: os.show.handler(async ({ input }) => (await facts()).showCertificates(ports, input.file)),
    verify: os.verify.handler(async ({ input }) => (await judge()).verifyCertificate(ports, input)),
    attach: os.attach.handler(async ({ input }) => (await attach()).attachCertificate(ports, input)),
    request: os.request.handler(async ({ input }) => (await own()).requestCertificate(ports, input)),
  }
}

export function certifiedKeyHandlers(ports: Ports) {
  const os = engineRouter.keys
  return {
    show: os.show.handler(async ({ input }) => (await import("./attach.ts")).showKey(ports, input.name)),
    import: os.import.handler(async ({ input }) => (await import("./own.ts")).importKey(ports, input)),
  }
}
