/** Copies of a marked model, made in memory and run on batches: devices' own, and copies of devices that do not exist. */
import { AppError } from "../../contract/errors.ts"
import { closeCarriers, openCarriers } from "../../core/watermark/carriers.ts"
import type { Carrier, Edition } from "../../core/watermark/embed.ts"
import { ModelMarker } from "../../core/watermark/marker.ts"
import { measureOriginal } from "../../core/watermark/original.ts"
import type { MarkPlan } from "../../core/watermark/plan.ts"
import { locationsOf } from "../mark/model-weights.ts"
import type { Ports, Tensor } from "../ports.ts"
import type { Patch, TrialProcess } from "../ports/trial.ts"
import { toNumbers } from "../statistics.ts"
import type { OpenReadable } from "./find-original.ts"

/** Scores of a classifier, row by row. */
export interface Scores {
  readonly classes: number
  readonly values: Float64Array
}

export class CopyDesk {
  readonly process: TrialProcess
  readonly #original: OpenReadable
  readonly #carriers: readonly Carrier[]
  readonly #marker: ModelMarker

  /** Throws MODEL_UNSUPPORTED when the model cannot be run here, MARK_ORIGINAL_DIFFERS. */
  static async open(
    ports: Ports,
    original: OpenReadable,
    plan: MarkPlan,
    masterKey: Uint8Array,
    signal: AbortSignal,
  ): Promise<CopyDesk> {
    const { tensors } = await measureOriginal(original.graph, original.files)
    const ordered = plan.tensors.map((planned) => {
      const tensor = tensors.find(({ hash }) => hash === planned.hash)
      if (tensor === undefined)
        throw new AppError(
          "MARK_ORIGINAL_DIFFERS",
          "a marked tensor of the ledger is not in the original given",
        )
      return tensor
    })
    const process = await ports.trials.start(original.model.files, signal)
    const carriers = openCarriers(masterKey, ordered, plan.tensors)
    try {
      const files = locationsOf(original.model).map((location, index) => ({
        location,
        start: 0,
        size: original.model.files[index]?.file.size ?? 0,
      }))
      const marker = await ModelMarker.prepare(
        carriers,
        offsetFiles(files),
        original.files,
        [],
        ports.markKernel,
      )
      return new CopyDesk(process, original, carriers, marker)
    } catch (error) {
      closeCarriers(carriers)
      await process.close()
      throw error
    }
  }

  private constructor(
    process: TrialProcess,
    original: OpenReadable,
    carriers: readonly Carrier[],
    marker: ModelMarker,
  ) {
    this.process = process
    this.#original = original
    this.#carriers = carriers
    this.#marker = marker
  }

  /** What differs between the original and an edition. */
  async patches(edition: Edition): Promise<readonly Patch[]> {
    const marked = await this.#marker.edition(edition)
    const { files } = this.#original.model
    const starts = offsetFiles(files.map(({ file }) => ({ location: null, start: 0, size: file.size })))
    const out: Patch[] = []
    for (const { file, start, end } of this.#marker.spans) {
      const bytes = Uint8Array.from((await files[file]?.file.read(start, end - start)) ?? [])
      marked.apply((starts[file]?.start ?? 0) + start, bytes)
      out.push({ file, offset: start, bytes })
    }
    return out
  }

  /** True when all carriers are float32, so that copies have a mean. */
  get hasMean(): boolean {
    return this.#carriers.every(({ tensor }) => tensor.dataType === "FLOAT")
  }

  /** Throws INPUT_MISMATCH for a model that gives no scores of classes. */
  async scores(patches: readonly Patch[], batches: readonly number[]): Promise<Scores> {
    return toScores(await this.process.run(patches, batches))
  }

  async close(): Promise<void> {
    closeCarriers(this.#carriers)
    await this.process.close()
  }
}

/** Files laid one behind the other, as the marker wants them. */
function offsetFiles<T extends { readonly size: number }>(
  files: readonly T[],
): readonly (T & { start: number })[] {
  let at = 0
  return files.map((file) => {
    const start = at
    at += file.size
    return Object.assign({}, file, { start })
  })
}

/** The mean of float32 patches over the same stretches. */
export function meanPatches(all: readonly (readonly Patch[])[]): readonly Patch[] {
  const [first = []] = all
  return first.map(({ file, offset, bytes }, index) => {
    const sum = new Float64Array(bytes.length / 4)
    for (const patches of all) {
      const values = new Float32Array(Uint8Array.from(patches[index]?.bytes ?? []).buffer)
      values.forEach((value, i) => (sum[i] = (sum[i] ?? 0) + value / all.length))
    }
    return { file, offset, bytes: new Uint8Array(Float32Array.from(sum).buffer) }
  })
}

export function toScores(batches: readonly (readonly Tensor[])[]): Scores {
  let classes = 0
  const parts = batches.map((outputs) => {
    const scores = outputs.find(({ type, shape }) => type.startsWith("float") && shape.length === 2)
    if (scores === undefined || (scores.shape[1] ?? 0) < 2)
      throw new AppError("INPUT_MISMATCH", "the model gives no scores of classes, one row an input")
    classes = scores.shape[1] ?? 0
    return toNumbers(scores)
  })
  return { classes, values: Float64Array.from(parts.flatMap((part) => Array.from(part))) }
}

/** The best class of row `row`. */
export function topOf({ classes, values }: Scores, row: number): number {
  let best = 0
  for (let k = 1; k < classes; k += 1)
    if ((values[row * classes + k] ?? 0) > (values[row * classes + best] ?? 0)) best = k
  return best
}
