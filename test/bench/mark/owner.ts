/** An owner who marks a fashion model the way `protect` does: strength found on calibration data, copies by the product's own embedding. */
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { toHex } from "../../../main/core/bytes/bytes.ts"
import { sourceOf } from "../../../main/core/bytes/source.ts"
import { closeCarriers, openCarriers } from "../../../main/core/watermark/carriers.ts"
import { modelHash } from "../../../main/core/watermark/keys.ts"
import { ModelMarker } from "../../../main/core/watermark/marker.ts"
import { measureOriginal } from "../../../main/core/watermark/original.ts"
import type { MarkPlan } from "../../../main/core/watermark/plan.ts"
import type { MarkMode } from "../../../main/core/watermark/trace-carriers.ts"
import { Tracer, type IssuedCopy, type Traced } from "../../../main/core/watermark/trace.ts"
import { localPorts } from "../../../main/platform/ports.ts"
import { traceEngine } from "../../../main/platform/trace/code-words.ts"
import { findPlan } from "../../../main/services/mark/find-plan.ts"
import { TrialDesk } from "../../../main/services/mark/trial-desk.ts"
import { calibrationSet } from "../../../main/services/mark/trial-set.ts"
import { openModel } from "../../../main/services/model-input.ts"
import { readable } from "../../support/embedding.ts"
import { corpusFile, CORPUS } from "../../support/onnx-models.ts"

export class BenchOwner {
  readonly bytes: Uint8Array
  readonly plan: MarkPlan
  readonly copies: readonly IssuedCopy[]
  readonly #tracer: Tracer
  readonly #masterKey: Uint8Array

  private constructor(
    bytes: Uint8Array,
    plan: MarkPlan,
    masterKey: Uint8Array,
    copies: readonly IssuedCopy[],
    tracer: Tracer,
  ) {
    this.bytes = bytes
    this.plan = plan
    this.#masterKey = masterKey
    this.copies = copies
    this.#tracer = tracer
  }

  /** The master key is the byte `key` 32 times, so that a run can be repeated. */
  static async of(name: string, mode: MarkMode, devices: number, key: number): Promise<BenchOwner> {
    const bytes = corpusFile(name)
    const original = await readable(bytes)
    const plan = await planFor(name)
    const masterKey = new Uint8Array(32).fill(key)
    const copies = Array.from({ length: devices }, (_, index) => ({ device: index + 1, attempt: 0, mode }))
    const tracer = await Tracer.open({ original, plan, masterKey, modes: [mode] })
    return new BenchOwner(bytes, plan, masterKey, copies, tracer)
  }

  async copyOf({ device, attempt, mode }: IssuedCopy): Promise<Uint8Array> {
    const { graph, files } = await readable(this.bytes)
    const { tensors } = await measureOriginal(graph, files)
    const carriers = openCarriers(this.#masterKey, tensors, this.plan.tensors)
    const whole = [{ location: null, start: 0, size: this.bytes.length }]
    const marker = await ModelMarker.prepare(carriers, whole, () => sourceOf(this.bytes), [])
    const edition = await marker.edition({ kind: mode, word: { device, attempt } })
    const copy = Uint8Array.from(this.bytes)
    edition.apply(0, copy)
    closeCarriers(carriers)
    return copy
  }

  async trace(suspect: Uint8Array, copies = this.copies): Promise<Traced> {
    const sum = traceEngine.sums(new AbortController().signal, () => {})
    return this.#tracer.trace(await readable(suspect), { copies, ownerTests: 1, sum })
  }

  /** Mean strength in units of σ, over all weights that can carry the mark. */
  get strength(): number {
    let [weights, squares] = [0, 0]
    for (const { dims, parameters } of this.plan.tensors) {
      const count = dims.reduce((product, size) => product * size, 1)
      weights += count
      squares += count * (parameters.strength / 2 ** 20) ** 2
    }
    return Math.sqrt(squares / weights)
  }
}

/** Finds strengths on the calibration images, as `protect --calibration` does with its default budget. */
async function planFor(name: string): Promise<MarkPlan> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-bench-"))
  const { ports, close } = localPorts(folder)
  const job = {
    signal: new AbortController().signal,
    step: () => ({ signal: new AbortController().signal, progress: () => {} }),
  }
  const model = await openModel(ports.files, ports.files.refer(path.join(CORPUS, "models", name)))
  try {
    const original = await readable(corpusFile(name))
    const { tensors } = await measureOriginal(original.graph, original.files)
    const process = await ports.trials.start(model.files, job.signal)
    const calibration = ports.files.refer(path.join(CORPUS, "data/fashion-calib-x.npy"))
    const request = { calibration, labels: null, normalise: { mean: 0.286, std: 0.353 }, budget: null }
    const desk = await TrialDesk.open(
      ports,
      model,
      process,
      await calibrationSet(ports.files, request, process),
    )
    try {
      const planned = await findPlan(desk, tensors, null, job)
      const hash = toHex(modelHash(planned.map((tensor) => Buffer.from(tensor.hash, "hex"))))
      return { version: 1, modelHash: hash, tensors: [...planned] }
    } finally {
      await desk.close()
    }
  } finally {
    await model.close()
    await close()
    rmSync(folder, { recursive: true, force: true })
  }
}
