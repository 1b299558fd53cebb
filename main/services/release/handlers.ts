import { engineRouter } from "../../contract/server.ts"
import { exportSeal } from "../deployment/export.ts"
import type { Jobs } from "../jobs.ts"
import type { Ports } from "../ports.ts"
import { readApprovalRequest, signApproval, writeApprovalRequest } from "./approval-request.ts"
import { approveRelease, attachStatements, createRelease } from "./create.ts"
import { collectReceipts, fleetStatus, importReceipts, trustReceipts } from "./fleet.ts"
import { promoteRelease, publishRelease, revoke, rollbackRing } from "./publish.ts"
import { listRings, setRing } from "./rings.ts"
import { allReleases, showRelease } from "./show.ts"

export function releaseHandlers(ports: Ports, jobs: Jobs) {
  const os = engineRouter.release
  const alone = atDesk(ports)
  return {
    create: os.create.handler(async ({ input, signal }) =>
      jobs.start(
        `release ${input.name}`,
        async (job) =>
          alone(job.signal, async () => {
            await createRelease(ports, input, job)
            return showRelease(ports, input.name)
          }),
        signal,
      ),
    ),
    list: os.list.handler(async () => allReleases(ports)),
    show: os.show.handler(async ({ input }) => showRelease(ports, input.name)),
    approve: os.approve.handler(async ({ input, signal }) =>
      alone(signal, async () => {
        await approveRelease(ports, input)
        return showRelease(ports, input.name)
      }),
    ),
    requestApproval: os.requestApproval.handler(async ({ input }) =>
      writeApprovalRequest(ports, input.name, input.output),
    ),
    lookAtApproval: os.lookAtApproval.handler(async ({ input }) => readApprovalRequest(ports, input.request)),
    signApproval: os.signApproval.handler(async ({ input }) => signApproval(ports, input)),
    attach: os.attach.handler(async ({ input, signal }) =>
      alone(signal, async () => {
        await attachStatements(ports, input.name, input.bundles)
        return showRelease(ports, input.name)
      }),
    ),
    publish: os.publish.handler(async ({ input, signal }) =>
      jobs.start(
        `publish ${input.name} to ${input.ring}`,
        async (job) => alone(job.signal, async () => publishRelease(ports, input.name, input.ring, job)),
        signal,
      ),
    ),
    promote: os.promote.handler(async ({ input, signal }) =>
      jobs.start(
        `promote ${input.name} to ${input.ring}`,
        async (job) => alone(job.signal, async () => promoteRelease(ports, input.name, input.ring, job)),
        signal,
      ),
    ),
    rollback: os.rollback.handler(async ({ input, signal }) =>
      jobs.start(
        `roll ${input.ring} back to ${input.to}`,
        async (job) => alone(job.signal, async () => rollbackRing(ports, input.ring, input.to, job)),
        signal,
      ),
    ),
    revoke: os.revoke.handler(async ({ input, signal }) => alone(signal, async () => revoke(ports, input))),
  }
}

export function fleetHandlers(ports: Ports, jobs: Jobs) {
  const os = engineRouter.fleet
  const alone = atDesk(ports)
  return {
    setRing: os.setRing.handler(async ({ input, signal }) =>
      alone(signal, async () => setRing(ports, input)),
    ),
    rings: os.rings.handler(async () => listRings(ports)),
    status: os.status.handler(async () => fleetStatus(ports)),
    trustReceipts: os.trustReceipts.handler(async ({ input, signal }) =>
      alone(signal, async () => {
        await trustReceipts(ports, input.device, input.key)
        return ports.devices.find(input.device)
      }),
    ),
    export: os.export.handler(async ({ input, signal }) =>
      jobs.start(
        "export",
        async (job) => alone(job.signal, async () => exportSeal(ports, input, job)),
        signal,
      ),
    ),
    collect: os.collect.handler(async ({ input, signal }) =>
      alone(signal, async () =>
        collectReceipts(ports, ports.registries.open(input.from, signal ?? new AbortController().signal)),
      ),
    ),
    import: os.import.handler(async ({ input, signal }) =>
      alone(signal, async () => importReceipts(ports, input.file)),
    ),
  }
}

/** What changes releases, rings or receipts is one at a time: each reads what the one before wrote. */
function atDesk(ports: Ports) {
  return async <T>(signal: AbortSignal | undefined, work: () => Promise<T>) =>
    ports.locks.exclusive("desk", signal, work)
}
