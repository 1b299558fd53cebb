/** Trying marks on a model in memory: what a strength, or a finished copy, does to the outputs. */

import type { ModelFiles } from "../../core/onnx/elements.ts"
import { sourceOf } from "../../core/bytes/source.ts"
import { closeCarriers, openCarriers } from "../../core/watermark/carriers.ts"
import type { Edition } from "../../core/watermark/embed.ts"
import { ModelMarker, type MarkedFile } from "../../core/watermark/marker.ts"
import type { OriginalTensor } from "../../core/watermark/original.ts"
import type { PlannedTensor } from "../../core/watermark/plan.ts"
import { createTrialKey } from "../../core/watermark/trial-key.ts"
import type { OpenModel } from "../model-input.ts"
import type { Ports } from "../ports.ts"
import type { Patch, TrialProcess } from "../ports/trial.ts"
import { measureDistortion, type Distortion, type Outputs } from "./distortion.ts"
import { locationsOf } from "./model-weights.ts"
import type { TrialSet } from "./trial-set.ts"

/** A model in a trial process with its unchanged outputs at hand. */
export class TrialDesk {
  readonly set: TrialSet
  readonly #process: TrialProcess
  readonly #ports: Ports
  readonly #files: readonly MarkedFile[]
  readonly #sources: ModelFiles
  readonly #before: { readonly search: Outputs; readonly heldOut: Outputs }

  /** Reads the model's files into memory: callers have checked that they are not too large for that. */
  static async open(
    ports: Ports,
    model: OpenModel,
    process: TrialProcess,
    set: TrialSet,
  ): Promise<TrialDesk> {
    const bytes = await Promise.all(
      model.files.map(async ({ file }) => Uint8Array.from(await file.read(0, file.size))),
    )
    const locations = locationsOf(model)
    const sources: ModelFiles = (location) =>
      sourceOf(bytes[locations.indexOf(location)] ?? new Uint8Array(0))
    let start = 0
    const files = locations.map((location, index) => {
      const size = bytes[index]?.length ?? 0
      start += size
      return { location, start: start - size, size }
    })
    const before = {
      search: await process.run([], set.search),
      heldOut: await process.run([], set.heldOut),
    }
    return new TrialDesk(ports, process, set, files, sources, before)
  }

  private constructor(
    ports: Ports,
    process: TrialProcess,
    set: TrialSet,
    files: readonly MarkedFile[],
    sources: ModelFiles,
    before: { readonly search: Outputs; readonly heldOut: Outputs },
  ) {
    this.#ports = ports
    this.#process = process
    this.set = set
    this.#files = files
    this.#sources = sources
    this.#before = before
  }

  /** Outputs of the unchanged model on the held-out inputs. */
  get heldOutBefore(): Outputs {
    return this.#before.heldOut
  }

  get searchBefore(): Outputs {
    return this.#before.search
  }

  /** What a mark under a public key (number `seed`) does to the outputs on the search set. */
  async tryStrength(
    tensors: readonly OriginalTensor[],
    planned: readonly PlannedTensor[],
    edition: Edition,
    seed: number,
  ): Promise<Distortion> {
    const patches = await this.#patches(createTrialKey(seed), tensors, planned, edition)
    return measureDistortion(this.#before.search, await this.#process.run(patches, this.set.search))
  }

  /** What the real mark of one copy does to the outputs on the held-out set. */
  async certify(
    masterKey: Uint8Array,
    tensors: readonly OriginalTensor[],
    planned: readonly PlannedTensor[],
    edition: Edition,
  ): Promise<{ readonly distortion: Distortion; readonly outputs: Outputs }> {
    const patches = await this.#patches(masterKey, tensors, planned, edition)
    const outputs = await this.#process.run(patches, this.set.heldOut)
    return { distortion: measureDistortion(this.#before.heldOut, outputs), outputs }
  }

  async close(): Promise<void> {
    await this.#process.close()
  }

  async #patches(
    masterKey: Uint8Array,
    tensors: readonly OriginalTensor[],
    planned: readonly PlannedTensor[],
    edition: Edition,
  ): Promise<readonly Patch[]> {
    const carriers = openCarriers(masterKey, tensors, planned)
    try {
      // No checksums: the inference engine does not look at them.
      const marker = await ModelMarker.prepare(
        carriers,
        this.#files,
        this.#sources,
        [],
        this.#ports.markKernel,
      )
      const marked = await marker.edition(edition)
      const patches: Patch[] = []
      for (const { file, start, end } of marker.spans) {
        const source = this.#sources(this.#files[file]?.location ?? null)
        const bytes = Uint8Array.from(await source.read(start, end - start))
        marked.apply((this.#files[file]?.start ?? 0) + start, bytes)
        patches.push({ file, offset: start, bytes })
      }
      return patches
    } finally {
      closeCarriers(carriers)
    }
  }
}
