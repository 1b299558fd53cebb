/** The engine: every procedure of the contract, given what it needs from the world. */
import type { RuntimeLevel } from "../contract/schema/runtime.ts"
import { engineRouter, type EngineRouter } from "../contract/server.ts"
import { certificateHandlers, certifiedKeyHandlers } from "./certificates/handlers.ts"
import { addDevice, removeDevice } from "./devices.ts"
import { enrolmentHandlers } from "./enrolment/handlers.ts"
import { inspect } from "./inspect.ts"
import { Jobs } from "./jobs.ts"
import { ledgerHandlers } from "./ledger/handlers.ts"
import { libraryHandlers, rememberMade } from "./library.ts"
import { logHandlers } from "./log/handlers.ts"
import { open } from "./open.ts"
import type { Ports } from "./ports.ts"
import { protect } from "./protect.ts"
import { quickstart } from "./quickstart.ts"
import { registryHandlers } from "./registry/handlers.ts"
import { run } from "./run.ts"
import { deploymentHandlers } from "./deployment/handlers.ts"
import { fleetHandlers, releaseHandlers } from "./release/handlers.ts"
import { servingHandlers } from "./serving/handlers.ts"
import { trustHandlers } from "./trust/handlers.ts"
import { traceHandlers } from "./trace/handlers.ts"
import { validate } from "./validate.ts"
import { verify } from "./verify.ts"

export function createEngine(ports: Ports): EngineRouter {
  const os = engineRouter
  const levels = levelsOf(ports)
  const jobs = new Jobs(ports.now, ports.jobScope, ports.reportFault)
  return os.router({
    doctor: os.doctor.handler(async () => ({
      version: ports.machine.version,
      node: ports.machine.node,
      platform: ports.machine.platform,
      checks: [...(await ports.machine.diagnose()), ...(await ports.keys.diagnose())],
    })),
    levels: os.levels.handler(async () => levels()),
    inspect: os.inspect.handler(async ({ input }) => inspect(ports, input.file)),
    keys: {
      create: os.keys.create.handler(async ({ input }) => ports.keys.create(input)),
      list: os.keys.list.handler(async () => [...(await ports.keys.list())]),
      remove: os.keys.remove.handler(async ({ input }) => {
        const key = await ports.keys.find(input.name)
        await ports.keys.remove(key)
        return key
      }),
      doctor: os.keys.doctor.handler(async () => [...(await ports.keys.diagnose())]),
      ...certifiedKeyHandlers(ports),
    },
    certificates: certificateHandlers(ports),
    devices: {
      add: os.devices.add.handler(async ({ input }) => addDevice(ports, input)),
      list: os.devices.list.handler(async () => [...(await ports.devices.list())]),
      show: os.devices.show.handler(async ({ input }) => ports.devices.find(input.name)),
      remove: os.devices.remove.handler(async ({ input }) => removeDevice(ports, input.name)),
    },
    trust: trustHandlers(ports),
    release: releaseHandlers(ports, jobs),
    fleet: fleetHandlers(ports, jobs),
    deployment: deploymentHandlers(ports, jobs),
    log: logHandlers(ports),
    library: libraryHandlers(ports),
    enrolment: enrolmentHandlers(ports),
    registry: registryHandlers(ports, jobs),
    protect: os.protect.handler(async ({ input, signal }) =>
      jobs.start(
        `protect ${ports.files.nameOf(input.model)}`,
        async (job) => rememberMade(ports, input, await protect(ports, input, job)),
        signal,
      ),
    ),
    verify: os.verify.handler(async ({ input, signal }) =>
      jobs.start(
        `verify ${ports.files.nameOf(input.file)}`,
        async (job) => verify(ports, input, job),
        signal,
      ),
    ),
    open: os.open.handler(async ({ input, signal }) =>
      jobs.start(`open ${ports.files.nameOf(input.file)}`, async (job) => open(ports, input, job), signal),
    ),
    run: os.run.handler(async ({ input, signal }) =>
      jobs.start(`run ${ports.files.nameOf(input.file)}`, async (job) => run(ports, input, job), signal),
    ),
    ...traceHandlers(ports, jobs),
    runtimes: servingHandlers(ports, jobs),
    validate: os.validate.handler(async ({ input, signal }) =>
      jobs.start(
        `validate ${ports.files.nameOf(input.file)}`,
        async (job) => validate(ports, input, job),
        signal,
      ),
    ),
    quickstart: os.quickstart.handler(async ({ input, signal }) =>
      jobs.start("quickstart", async (job) => quickstart(ports, input, job), signal),
    ),
    ledger: ledgerHandlers(ports),
    prompts: {
      watch: os.prompts.watch.handler(({ signal }) => ports.prompts.watch(signal)),
      answer: os.prompts.answer.handler(async ({ input: { id, answer } }) =>
        ports.prompts.answer(id, answer === null ? null : new Uint8Array(await answer.arrayBuffer())),
      ),
    },
    jobs: {
      list: os.jobs.list.handler(async () => [...jobs.list()]),
      cancel: os.jobs.cancel.handler(async ({ input }) => jobs.cancel(input.job)),
    },
    files: {
      refer: os.files.refer.handler(async ({ input }) => ports.files.refer(input.path, input.as)),
      locate: os.files.locate.handler(async ({ input }) => ({ path: ports.files.pathOf(input.file) })),
    },
  })
}

/** A probe of the sealed runtime starts a process: what it reached holds for as long as the engine runs. */
function levelsOf({ machine, keys }: Ports) {
  let runtime: RuntimeLevel | null = null
  return async () => ({
    runtime: (runtime ??= await machine.runtimeLevel()),
    tpm: (await keys.diagnose("tpm2")).some(({ result }) => result === "ok"),
  })
}
