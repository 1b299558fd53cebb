/** One run of Protect: mark, encrypt and sign, verify, measure; each step says how far it is and what it found. */
import type { FileRef, Mode, Progress } from "../../../main/contract/schema/base.ts"
import type { Mark, MarkRequest } from "../../../main/contract/schema/mark.ts"
import type { Device } from "../../../main/contract/schema/keys.ts"
import type { Protected } from "../../../main/contract/schema/protect.ts"
import type { Validated } from "../../../main/contract/schema/validate.ts"
import type { Verdict } from "../../../main/contract/schema/verify.ts"
import { connection } from "../../api/connection.ts"
import { toFailure, type Failure } from "../../api/failure.ts"
import { runJob } from "../../api/jobs.ts"
import type { OpenModel } from "../../api/open-models.ts"
import { refresh } from "../../api/queries.ts"
import { Store } from "../../api/store.ts"
import type { StepLine } from "../../ui/step-bar.tsx"
import { countText, percentText, plural } from "../../ui/units.ts"
import { ensureDevices } from "./defaults.ts"
import type { MarkChoice } from "./mark-choice.tsx"

export interface ProtectOutcome {
  readonly file: FileRef
  readonly made: Protected
  readonly verdict: Verdict
  readonly measured: { readonly validated: Validated; readonly report: FileRef } | null
  readonly seconds: number
}

export interface ProtectRun {
  readonly steps: readonly StepLine[]
  readonly outcome: ProtectOutcome | null
  readonly failure: Failure | null
  readonly cancel: () => void
}

export interface ProtectChoice {
  readonly model: OpenModel
  readonly devices: readonly string[]
  readonly known: readonly Device[]
  readonly mode: Mode
  readonly signingKey: string | null
  readonly mark: MarkChoice
  /** What the grants allow; null allows everything. */
  readonly policy: FileRef | null
}

type StepId = "mark" | "encrypt" | "sign" | "verify" | "measure"

const TITLES: Readonly<Record<StepId, string>> = {
  mark: "Mark",
  encrypt: "Encrypt",
  sign: "Sign",
  verify: "Verify",
  measure: "Measure",
}

/** Begins at once; the store follows it to its end, which it reaches whatever happens. */
export function startProtect(choice: ProtectChoice): Store<ProtectRun> {
  const abort = new AbortController()
  const store = new Store<ProtectRun>({
    steps: Object.entries(TITLES).map(([id, title]) => ({
      id,
      title,
      state: "waiting",
      progress: null,
      note: "",
    })),
    outcome: null,
    failure: null,
    cancel: () => abort.abort(),
  })
  const change = (id: StepId, part: Partial<StepLine>) =>
    store.update((run) => ({
      ...run,
      steps: run.steps.map((step) => (step.id === id ? { ...step, ...part } : step)),
    }))
  run(choice, abort, change).then(
    (outcome) => store.update((now) => ({ ...now, outcome })),
    (error: unknown) => {
      const failure = toFailure(error)
      store.update((now) => ({
        ...now,
        failure,
        steps: now.steps.map((step) =>
          step.state === "running" ? { ...step, state: "failed", note: failure.message } : step,
        ),
      }))
    },
  )
  return store
}

type Change = (id: StepId, part: Partial<StepLine>) => void

async function run(choice: ProtectChoice, abort: AbortController, change: Change): Promise<ProtectOutcome> {
  const startedAt = performance.now()
  const { client } = connection
  const { model } = choice
  change("mark", { state: "running" })
  await ensureDevices(choice.devices, choice.known)
  const devices = await client.devices.list()
  const stem = model.name.replace(/\.(onnx|ort)$/i, "")
  const output = await client.shell.newOutput({ name: `${stem}.seal`, kind: "package", from: model.file })
  const made = await runJob(
    `Protect ${model.name}`,
    async (options) =>
      client.protect(
        {
          model: model.file,
          devices: [...choice.devices],
          signingKey: choice.signingKey,
          escrow: [],
          mode: choice.mode,
          mark: markOf(choice),
          policy: choice.policy,
          output: { file: output.file, replace: false },
        },
        options,
      ),
    (progress) => showProtecting(progress, change),
    abort,
  )
  const unmarked = made.notApplied.find(({ what }) => what === "mark")
  change(
    "mark",
    made.mark === null
      ? { state: "left-out", progress: null, note: unmarked?.why ?? "" }
      : { state: "done", progress: null, note: describeMark(made.mark) },
  )
  change("encrypt", { state: "done", note: `to ${plural(made.devices.length, "device")}` })
  change("sign", { state: "done", note: `with ${made.signedBy.key} (${made.signedBy.assurance})` })

  const holder = devices.find(({ name, holdsKey }) => holdsKey && made.devices.includes(name))?.name ?? null
  const verdict = await verify(output.file, output.name, holder, change, abort)
  const measured = holder === null ? null : await measure(choice, output.file, stem, holder, change, abort)
  if (holder === null)
    change("measure", {
      state: "left-out",
      note: "No chosen device has its key here, so only the devices can run it.",
    })
  await refresh("packages", "keys", "devices")
  return { file: output.file, made, verdict, measured, seconds: (performance.now() - startedAt) / 1000 }
}

function markOf({ mark, model }: ProtectChoice): MarkRequest | null {
  if (mark === "off") return null
  const onData = mark === "data" && model.data !== null
  return {
    calibration: onData ? (model.data?.file ?? null) : null,
    labels: onData ? (model.labels?.file ?? null) : null,
    normalise: onData ? model.normalise : null,
    budget: null,
  }
}

/** Everything before the first encryption prepares the mark. */
function showProtecting(progress: Progress, change: Change): void {
  if (progress.step.startsWith("encrypt")) {
    change("mark", { state: "done", progress: null, note: "" })
    change("encrypt", { state: "running", progress })
    return
  }
  change("mark", { state: "running", progress, note: progress.step })
}

function describeMark(mark: Mark): string {
  const weights = `${countText(mark.carriers)} of ${countText(mark.parameters)} weights carry it`
  const change = mark.measured?.outputChange
  return change === undefined ? weights : `${weights}; outputs change by ${percentText(change, 2)}`
}

async function verify(
  file: FileRef,
  name: string,
  device: string | null,
  change: Change,
  abort: AbortController,
): Promise<Verdict> {
  change("verify", { state: "running" })
  const verdict = await runJob(
    `Verify ${name}`,
    async (options) => connection.client.verify({ file, device, trust: null }, options),
    (progress) => change("verify", { progress }),
    abort,
  )
  const passed = verdict.checks.filter(({ result }) => result === "passed").length
  const isGood = verdict.verdict === "verified"
  change("verify", {
    state: isGood ? "done" : "failed",
    note: isGood
      ? `${plural(passed, "check")} passed`
      : (verdict.checks.find(({ result }) => result === "failed")?.reason ?? ""),
  })
  return verdict
}

/** A model that cannot be run here is still a good package: the step says why it was left out. */
async function measure(
  { model }: ProtectChoice,
  file: FileRef,
  stem: string,
  device: string,
  change: Change,
  abort: AbortController,
): Promise<ProtectOutcome["measured"]> {
  change("measure", { state: "running" })
  try {
    const report = await connection.client.shell.newOutput({ name: stem, kind: "report", from: model.file })
    const validated = await runJob(
      `Measure ${model.name}`,
      async (options) =>
        connection.client.validate(
          {
            file,
            device,
            trust: null,
            model: model.file,
            data: model.data?.file ?? null,
            labels: model.data === null ? null : (model.labels?.file ?? null),
            normalise: model.normalise,
            batch: 1,
            report: { file: report.file, replace: false },
          },
          options,
        ),
      (progress) => change("measure", { progress }),
      abort,
    )
    const { equality } = validated.validation
    change("measure", { state: "done", note: `${equality.identicalRows} of ${equality.rows} rows identical` })
    return { validated, report: report.file }
  } catch (error) {
    const { code, message } = toFailure(error)
    if (code === "CANCELLED" || code === "ENGINE_GONE") throw error
    change("measure", { state: "left-out", note: message })
    return null
  }
}
