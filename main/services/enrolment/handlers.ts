/** The contract's part about enrolment. Certificates are issued rarely, so what issues them is loaded then. */
import { engineRouter } from "../../contract/server.ts"
import type { Ports } from "../ports.ts"

export function enrolmentHandlers(ports: Ports) {
  const os = engineRouter.enrolment
  const desk = async () => import("./desk-side.ts")
  const device = async () => import("./device-side.ts")
  const authority = async () => import("./authority.ts")
  return {
    init: os.init.handler(async ({ input }) => (await device()).initDevice(ports, input)),
    enrol: os.enrol.handler(async ({ input }) => (await desk()).enrol(ports, input)),
    respond: os.respond.handler(async ({ input }) => (await device()).respond(ports, input)),
    accept: os.accept.handler(async ({ input }) =>
      (await device()).acceptCertificates(ports, input.certificates),
    ),
    revoke: os.revoke.handler(async ({ input }) => (await authority()).issueRevocations(ports, input)),
  }
}
