import { engineRouter } from "../../contract/server.ts"
import type { Jobs } from "../jobs.ts"
import type { Ports } from "../ports.ts"
import {
  commitDevice,
  deviceStatus,
  installDevice,
  installedPackage,
  rollbackDevice,
  verifyDevice,
} from "./install.ts"
import { deliverReceipts } from "./deliver.ts"
import { writeReceipts } from "./receipts.ts"
import { readState } from "./state.ts"
import { provision, syncDevice } from "./sync.ts"

export function deploymentHandlers(ports: Ports, jobs: Jobs) {
  const os = engineRouter.deployment
  const alone = async <T>(device: string, signal: AbortSignal | undefined, work: () => Promise<T>) =>
    ports.locks.exclusive(device, signal, work)
  return {
    provision: os.provision.handler(async ({ input, signal }) =>
      alone(input.device, signal, async () => provision(ports, input)),
    ),
    sync: os.sync.handler(async ({ input, signal }) =>
      jobs.start(
        `sync ${input.device}`,
        async (job) => alone(input.device, job.signal, async () => syncDevice(ports, input, job)),
        signal,
      ),
    ),
    verify: os.verify.handler(async ({ input, signal }) =>
      jobs.start(`verify ${input.device}`, async (job) => verifyDevice(ports, input.device, job), signal),
    ),
    install: os.install.handler(async ({ input, signal }) =>
      jobs.start(
        `install on ${input.device}`,
        async (job) => alone(input.device, job.signal, async () => installDevice(ports, input, job)),
        signal,
      ),
    ),
    commit: os.commit.handler(async ({ input, signal }) =>
      alone(input.device, signal, async () => commitDevice(ports, input.device)),
    ),
    rollback: os.rollback.handler(async ({ input, signal }) =>
      alone(input.device, signal, async () => rollbackDevice(ports, input.device)),
    ),
    installed: os.installed.handler(async ({ input }) => installedPackage(ports, input.device)),
    status: os.status.handler(async ({ input }) => deviceStatus(ports, input.device)),
    deliver: os.deliver.handler(async ({ input, signal }) =>
      alone(input.device, signal, async () => {
        const device = await ports.devices.find(input.device)
        await readState(ports, device)
        const repository = ports.registries.open(input.to, signal ?? new AbortController().signal)
        return deliverReceipts(ports, device, repository)
      }),
    ),
    receipts: os.receipts.handler(async ({ input }) => {
      const device = await ports.devices.find(input.device)
      return { receipts: await writeReceipts(ports, device, input.output) }
    }),
  }
}
