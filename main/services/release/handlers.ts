import { engineRouter } from "../../contract/server.ts"
import { exportSeal } from "../deployment/export.ts"
import type { Jobs } from "../jobs.ts"
import type { Ports } from "../ports.ts"
import { approveRelease, attachStatements, createRelease } from "./create.ts"
import { collectReceipts, fleetStatus, importReceipts, trustReceipts } from "./fleet.ts"
import { promoteRelease, publishRelease, revoke, rollbackRing } from "./publish.ts"
import { listRings, setRing } from "./rings.ts"
import { allReleases, showRelease } from "./show.ts"

export function releaseHandlers(ports: Ports, jobs: Jobs) {
  const os = engineRouter.release
  return {
    create: os.create.handler(async ({ input, signal }) =>
      jobs.start(
        `release ${input.name}`,
        async (job) => {
          await createRelease(ports, input, job)
          return showRelease(ports, input.name)
        },
        signal,
      ),
    ),
    list: os.list.handler(async () => allReleases(ports)),
    show: os.show.handler(async ({ input }) => showRelease(ports, input.name)),
    approve: os.approve.handler(async ({ input }) => {
      await approveRelease(ports, input.name, input.key)
      return showRelease(ports, input.name)
    }),
    attach: os.attach.handler(async ({ input }) => {
      await attachStatements(ports, input.name, input.bundles)
      return showRelease(ports, input.name)
    }),
    publish: os.publish.handler(async ({ input, signal }) =>
      jobs.start(
        `publish ${input.name} to ${input.ring}`,
        async (job) => publishRelease(ports, input.name, input.ring, job),
        signal,
      ),
    ),
    promote: os.promote.handler(async ({ input, signal }) =>
      jobs.start(
        `promote ${input.name} to ${input.ring}`,
        async (job) => promoteRelease(ports, input.name, input.ring, job),
        signal,
      ),
    ),
    rollback: os.rollback.handler(async ({ input, signal }) =>
      jobs.start(
        `roll ${input.ring} back to ${input.to}`,
        async (job) => rollbackRing(ports, input.ring, input.to, job),
        signal,
      ),
    ),
    revoke: os.revoke.handler(async ({ input }) => revoke(ports, input)),
  }
}

export function fleetHandlers(ports: Ports, jobs: Jobs) {
  const os = engineRouter.fleet
  return {
    setRing: os.setRing.handler(async ({ input }) => setRing(ports, input)),
    rings: os.rings.handler(async () => listRings(ports)),
    status: os.status.handler(async () => fleetStatus(ports)),
    trustReceipts: os.trustReceipts.handler(async ({ input }) => {
      await trustReceipts(ports, input.device, input.key)
      return ports.devices.find(input.device)
    }),
    export: os.export.handler(async ({ input, signal }) =>
      jobs.start("export", async (job) => exportSeal(ports, input, job), signal),
    ),
    collect: os.collect.handler(async ({ input, signal }) =>
      collectReceipts(ports, ports.registries.open(input.from, signal ?? new AbortController().signal)),
    ),
    import: os.import.handler(async ({ input }) => importReceipts(ports, input.file)),
  }
}
