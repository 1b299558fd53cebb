/** The contract's part about enrolment. */
import { engineRouter } from "../../contract/server.ts"
import type { Ports } from "../ports.ts"
import { issueRevocations } from "./authority.ts"
import { enrol } from "./desk-side.ts"
import { acceptCertificates, initDevice, respond } from "./device-side.ts"

export function enrolmentHandlers(ports: Ports) {
  const os = engineRouter.enrolment
  return {
    init: os.init.handler(async ({ input }) => initDevice(ports, input)),
    enrol: os.enrol.handler(async ({ input }) => enrol(ports, input)),
    respond: os.respond.handler(async ({ input }) => respond(ports, input)),
    accept: os.accept.handler(async ({ input }) => acceptCertificates(ports, input.certificates)),
    revoke: os.revoke.handler(async ({ input }) => issueRevocations(ports, input)),
  }
}
