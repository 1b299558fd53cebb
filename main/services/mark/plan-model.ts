/** The plan of a model: the ledger's when it knows the model, else a new one, written down before any copy is made. */
import { createCommitment } from "../../core/watermark/commit-plan.ts"
import type { Mode } from "../../contract/schema/base.ts"
import type { MarkRequest } from "../../contract/schema/mark.ts"
import { AppError } from "../../contract/errors.ts"
import { toHex } from "../../core/bytes/bytes.ts"
import { modelHash } from "../../core/watermark/keys.ts"
import type { LedgerState, PlanEntry } from "../../core/watermark/ledger.ts"
import type { OriginalTensor } from "../../core/watermark/original.ts"
import type { MarkPlan, PlannedTensor } from "../../core/watermark/plan.ts"
import type { JobContext } from "../jobs.ts"
import type { OpenLedger } from "../ledger/open-ledger.ts"
import type { OpenModel } from "../model-input.ts"
import type { Ports } from "../ports.ts"
import type { TrialProcess } from "../ports/trial.ts"
import { blindPlan, budgetOf, checkStrong, findPlan } from "./find-plan.ts"
import { TrialDesk } from "./trial-desk.ts"
import { calibrationSet, syntheticSet } from "./trial-set.ts"

export interface PlannedModel {
  readonly entry: PlanEntry
  /** In the order of the measured tensors. */
  readonly tensors: readonly PlannedTensor[]
  readonly isKnown: boolean
  /** For certifying copies; `null` when nothing can be tried. The owner closes it. */
  readonly desk: TrialDesk | null
  /** Mean square change of the outputs that is allowed, relative to their variance. */
  readonly budget: number
  readonly notMeasured: string | null
}

/** Models larger than this are not tried: a trial holds the model in memory three times. */
const MAX_TRIAL_BYTES = 512 << 20
/** Made-up inputs are not worth the time on models larger than this. */
const MAX_SYNTHETIC_BYTES = 64 << 20

/** Throws MARK_TOO_WEAK, INPUT_MISMATCH and what the ledger throws. */
export async function planModel(
  ports: Ports,
  ledger: OpenLedger,
  request: MarkRequest,
  model: OpenModel,
  mode: Mode,
  tensors: readonly OriginalTensor[],
  job: JobContext,
): Promise<PlannedModel> {
  const hash = toHex(modelHash(tensors.map((tensor) => Buffer.from(tensor.hash, "hex"))))
  const known = ledger.state.plans.get(hash)
  const trial = await openTrial(ports, request, model, job)
  try {
    const budget = trial.desk === null ? 0 : budgetOf(trial.desk, request.budget) ** 2
    if (known !== undefined && !canReplace(ledger.state, known, request)) {
      const { plan } = known
      const byHash = new Map(plan.tensors.map((tensor) => [tensor.hash, tensor]))
      const ordered = tensors
        .map((tensor) => byHash.get(tensor.hash))
        .filter((tensor) => tensor !== undefined)
      checkStrong(tensors, ordered, mode)
      return { ...trial, entry: known, tensors: ordered, isKnown: true, budget }
    }
    const found =
      trial.desk === null ? blindPlan(tensors) : await findPlan(trial.desk, tensors, request.budget, job)
    const planned = keepEarlier(ledger.state, found)
    checkStrong(tensors, planned, mode)
    const plan: MarkPlan = { version: 1, modelHash: hash, tensors: [...planned] }
    const entry = await writePlan(ports, ledger, request, model, plan)
    return { ...trial, entry, tensors: planned, isKnown: false, budget }
  } catch (error) {
    await trial.desk?.close()
    throw error
  }
}

/** A plan is frozen by its first copy. One that no copy was made by gives way when there is more to find a better one with. */
function canReplace(state: LedgerState, { plan }: PlanEntry, request: MarkRequest): boolean {
  const isIssued = state.issued.some(({ modelHash }) => modelHash === plan.modelHash)
  return !isIssued && (request.calibration !== null || request.budget !== null)
}

/** A tensor that an earlier model of this owner has too keeps its parameters, and with them its keys: no device gets two variants of it. */
function keepEarlier(state: LedgerState, found: readonly PlannedTensor[]): readonly PlannedTensor[] {
  const earlier = new Map(
    [...state.plans.values()]
      .filter(({ plan }) => state.issued.some(({ modelHash }) => modelHash === plan.modelHash))
      .flatMap(({ plan }) => plan.tensors.map((tensor) => [tensor.hash, tensor])),
  )
  return found.map((tensor) => {
    const parameters = earlier.get(tensor.hash)?.parameters
    return parameters === undefined ||
      parameters.form !== tensor.parameters.form ||
      parameters.rowAxis !== tensor.parameters.rowAxis
      ? tensor
      : { ...tensor, parameters }
  })
}

async function writePlan(
  ports: Ports,
  ledger: OpenLedger,
  request: MarkRequest,
  model: OpenModel,
  plan: MarkPlan,
): Promise<PlanEntry> {
  const nonces = plan.tensors.map(() => toHex(ports.random(16)))
  const entry: PlanEntry = {
    kind: "plan",
    plan,
    model: model.files[0]?.name ?? "",
    nonces,
    commitment: createCommitment(ledger.masterKey, plan, nonces),
    calibration: request.calibration === null ? null : await digestOf(ports, request.calibration),
    at: ports.now().toISOString(),
  }
  // Another process may have planned the same model meanwhile; the first plan holds.
  const before = ledger.state.plans.get(plan.modelHash)
  await ledger.append((state) => (state.plans.get(plan.modelHash) === before ? [entry] : []))
  const written = ledger.state.plans.get(plan.modelHash)
  if (written?.commitment !== entry.commitment)
    throw new AppError("LEDGER_BUSY", "another process planned this model at the same time")
  return entry
}

/** A trial desk with the inputs there are, or in words why there is none. Calibration that does not fit is an error. */
async function openTrial(
  ports: Ports,
  request: MarkRequest,
  model: OpenModel,
  job: JobContext,
): Promise<{ readonly desk: TrialDesk | null; readonly notMeasured: string | null }> {
  const limit = request.calibration === null ? MAX_SYNTHETIC_BYTES : MAX_TRIAL_BYTES
  if (model.bytes > limit) {
    const hint = request.calibration === null ? " and there are no calibration data" : ""
    return { desk: null, notMeasured: `the model is larger than ${limit >> 20} MiB${hint}` }
  }
  let process: TrialProcess
  try {
    process = await ports.trials.start(model.files, job.signal)
  } catch (error) {
    if (!(error instanceof AppError && error.code === "MODEL_UNSUPPORTED")) throw error
    return { desk: null, notMeasured: "the inference engine cannot run this model" }
  }
  try {
    const set =
      request.calibration === null
        ? await syntheticSet(process)
        : await calibrationSet(ports.files, request, process)
    if (set === null) {
      await process.close()
      return { desk: null, notMeasured: "inputs of this form cannot be made up: give --calibration" }
    }
    const desk = await TrialDesk.open(ports, model, process, set)
    const notMeasured =
      set.kind === "synthetic" ? "without calibration data nothing is known about accuracy" : null
    return { desk, notMeasured }
  } catch (error) {
    await process.close()
    // Made-up inputs may be nothing the model can take.
    if (request.calibration === null && error instanceof AppError && error.code === "INPUT_MISMATCH")
      return { desk: null, notMeasured: "the model refuses made-up inputs: give --calibration" }
    throw error
  }
}

async function digestOf(ports: Ports, ref: Parameters<Ports["files"]["open"]>[0]): Promise<string> {
  const file = await ports.files.open(ref)
  try {
    const control = { signal: new AbortController().signal, progress: () => {} }
    return toHex(await ports.payload.digest(file.number, 0, file.size, control))
  } finally {
    await file.close()
  }
}
