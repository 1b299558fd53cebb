/** Tracing: does a suspect carry the owner's mark, and whose copy was it? Everything but reading the ledger and files. */
import { AppError } from "../../contract/errors.ts"
import { wipe } from "../bytes/bytes.ts"
import type { ModelFiles } from "../onnx/elements.ts"
import type { ModelGraph } from "../onnx/model-index.ts"
import { resync, type AlignedLayer } from "./align/resync.ts"
import {
  codeCarriers,
  fleetStratum,
  ownerCarriers,
  sigmaOf,
  type Carriers,
  type CodeCarriers,
  type MarkMode,
} from "./trace-carriers.ts"
import {
  correct,
  DeviceTest,
  ownerTest,
  type CodedScores,
  type CodeWeights,
  type SignedScores,
  type SignTest,
} from "./detect.ts"
import { codeWordContext, streamKey, tensorKey } from "./keys.ts"
import { readNetwork, type Network } from "./network/network.ts"
import { measureOriginal, readWholeCanonical, type OriginalTensor } from "./original.ts"
import { MAX_TRIES, parametersDigest, type MarkPlan, type PlannedTensor } from "./plan.ts"
import { scoreResiduals } from "./residual.ts"
import { TensorStreams } from "./streams.ts"
import { runInTurns } from "./work.ts"

/** A model that can be read: its graph and the files its values stand in. */
export interface ReadableModel {
  readonly graph: ModelGraph
  readonly files: ModelFiles
}

export interface IssuedCopy {
  /** Number in the code, and the try its word was drawn in. */
  readonly device: number
  readonly attempt: number
  readonly mode: MarkMode
}

/** What a tracer is opened with. */
export interface TracerInput {
  readonly original: ReadableModel
  readonly plan: MarkPlan
  /** 32 bytes; the caller wipes it. */
  readonly masterKey: Uint8Array
  /** Kinds of copies that were issued: their code stands in different weights. */
  readonly modes: readonly MarkMode[]
}

/** What one suspect is compared with. */
export interface TraceOptions {
  readonly copies: readonly IssuedCopy[]
  /** Owner tests that are made in this matter: ledger models tried, times commitments (WATERMARK 5.4). */
  readonly ownerTests: number
  readonly sum: SumCodeWords
  /** Called while aligning (with 0) and between tensors with how many weights are done, so that others get their turn; may throw to end the work. */
  readonly pause?: (weights: number) => Promise<void>
}

/** What of one planned tensor could be compared. */
export interface TracedTensor {
  readonly planned: PlannedTensor
  /** `null` when the layer has no counterpart in the suspect. */
  readonly aligned: AlignedLayer | null
  readonly weights: number
  readonly compared: number
}

export interface TracedCopy extends SignTest {
  readonly copy: IssuedCopy
  /** lg p, times the number of code words issued and of tries. */
  readonly log10pCorrected: number
}

export interface Traced {
  readonly owner: SignTest & { readonly log10pCorrected: number }
  /** Likeliest first. */
  readonly copies: readonly TracedCopy[]
  readonly tensors: readonly TracedTensor[]
  /** Names of the suspect's layers, which `AlignedLayer.suspect` counts; `null` for one computed from several tensors. */
  readonly suspectNames: readonly (string | null)[]
  /** Cosine of all planned weights with the original's; weights without counterpart count as 0. */
  readonly cosine: number
  /** Code words the device p-values were corrected for, tries included. */
  readonly tests: number
}

/** Adds up, for every copy, the weights of the tensors at the positions where its code word is 1. */
export type SumCodeWords = (
  tensors: readonly (CodeWeights & {
    /** K_t, 32 bytes. */
    readonly key: Uint8Array
  })[],
  copies: readonly IssuedCopy[],
) => Promise<Float64Array>

/** An original under its owner's keys, ready to be compared with any number of suspects. `close` wipes the keys. */
export class Tracer {
  readonly #network: Network
  readonly #tensors: readonly KeyedTensor[]

  /** Throws MARK_ORIGINAL_DIFFERS when the original is not the one the plan was made for, and what reading models throws. */
  static async open({ original, plan, masterKey, modes }: TracerInput): Promise<Tracer> {
    const { tensors } = await measureOriginal(original.graph, original.files)
    const network = await readNetwork(original.graph, original.files)
    const keyed: KeyedTensor[] = []
    for (const planned of plan.tensors) {
      const tensor = findPlanned(tensors, planned)
      keyed.push(
        keyTensor(masterKey, planned, tensor, await readWholeCanonical(tensor, original.files), modes),
      )
    }
    return new Tracer(network, keyed)
  }

  private constructor(network: Network, tensors: readonly KeyedTensor[]) {
    this.#network = network
    this.#tensors = tensors
  }

  /** Throws what reading the suspect throws; one that has nothing to do with the original gives p = 1. */
  async trace(suspect: ReadableModel, { copies, ownerTests, sum, pause }: TraceOptions): Promise<Traced> {
    const other = await readNetwork(suspect.graph, suspect.files)
    const layers = await runInTurns(resync(this.#network, other), async () => pause?.(0))
    const scored: Scored[] = []
    for (const tensor of this.#tensors) {
      await pause?.(scored.reduce((total, { traced }) => total + traced.weights, 0))
      scored.push(scoreTensor(tensor, layers))
    }
    const owner = ownerTest(scored.map((tensor) => tensor.owner))
    const tests = Math.max(1, copies.length) * MAX_TRIES
    const modes = new Set(copies.map(({ mode }) => mode))
    const judged: TracedCopy[] = []
    for (const mode of modes) judged.push(...(await traceMode(mode, scored, copies, tests, sum)))
    return {
      owner: { ...owner, log10pCorrected: correct(owner.log10p, ownerTests) },
      copies: judged.sort((a, b) => a.log10p - b.log10p || b.z - a.z || a.copy.device - b.copy.device),
      tensors: scored.map(({ traced }) => traced),
      suspectNames: other.layers.map(({ tensor }) => tensor?.name ?? null),
      cosine: wholeCosine(scored),
      tests,
    }
  }

  close(): void {
    wipe(...this.#tensors.map(({ key }) => key))
  }
}

/** The plan's tensor in the original, by content: names do not matter. */
function findPlanned(
  tensors: readonly OriginalTensor[],
  { hash, parameters }: PlannedTensor,
): OriginalTensor {
  const found = tensors.find(
    (tensor) =>
      tensor.hash === hash && tensor.rowAxis === parameters.rowAxis && tensor.form === parameters.form,
  )
  if (found === undefined)
    throw new AppError("MARK_ORIGINAL_DIFFERS", "a marked tensor of the ledger is not in the original given")
  return found
}

/** A planned tensor with everything that does not depend on the suspect; arrays have one entry a weight, in stored order. */
interface KeyedTensor {
  readonly planned: PlannedTensor
  readonly tensor: OriginalTensor
  readonly original: Float32Array
  readonly sigma: Float32Array
  readonly stratum: Uint8Array | null
  readonly owner: Carriers
  readonly codes: ReadonlyMap<MarkMode, CodeCarriers>
  /** K_t. */
  readonly key: Uint8Array
}

function keyTensor(
  masterKey: Uint8Array,
  planned: PlannedTensor,
  tensor: OriginalTensor,
  original: Float32Array,
  modes: readonly MarkMode[],
): KeyedTensor {
  const { parameters } = planned
  const key = tensorKey(masterKey, Buffer.from(planned.hash, "hex"), parametersDigest(parameters))
  const streams = new TensorStreams(key)
  try {
    return {
      planned,
      tensor,
      original,
      sigma: sigmaOf(tensor),
      stratum: modes.includes("fleet") ? fleetStratum(parameters, streams, tensor.elementCount) : null,
      owner: ownerCarriers(tensor, parameters, streams, original),
      codes: new Map(modes.map((mode) => [mode, codeCarriers(tensor, parameters, streams, original, mode)])),
      key,
    }
  } finally {
    streams.close()
  }
}

interface Scored {
  readonly traced: TracedTensor
  readonly key: Uint8Array
  readonly owner: SignedScores
  readonly codes: ReadonlyMap<MarkMode, CodedScores>
  /** Σ of squares and products, for the cosine of the whole. */
  readonly sums: { readonly both: number; readonly own: number; readonly other: number }
}

function scoreTensor(keyed: KeyedTensor, layers: readonly AlignedLayer[]): Scored {
  const { planned, tensor, original, sigma, stratum, key } = keyed
  const aligned = bestPlace(tensor, layers)
  const suspect = toStoredOrder(tensor, aligned)
  const count = tensor.elementCount
  const { amplitude, signs } = keyed.owner
  const scores = new Float64Array(count)
  scoreResiduals({ original, suspect, sigma, amplitude, known: null, stratum }, 1, scores)
  const codes = new Map<MarkMode, CodedScores>()
  for (const [mode, code] of keyed.codes) {
    const codeScores = new Float64Array(count)
    const { known } = code
    scoreResiduals(
      { original, suspect, sigma, amplitude: code.amplitude, known, stratum: null },
      0.1,
      codeScores,
    )
    codes.set(mode, { scores: codeScores, signs: code.signs, bias: code.bias })
  }
  const { sums, compared } = compareWhole(original, suspect)
  return {
    traced: { planned, aligned, weights: count, compared },
    key,
    owner: { scores, signs },
    codes,
    sums,
  }
}

/** A tensor that stands in several places counts once: where the suspect is most alike. */
function bestPlace(tensor: OriginalTensor, layers: readonly AlignedLayer[]): AlignedLayer | null {
  const names = new Set(tensor.places.map(({ tensor: { path, name } }) => `${path}\n${name}`))
  const found = layers.filter(
    ({ layer, suspect }) =>
      suspect >= 0 && layer.tensor !== null && names.has(`${layer.tensor.path}\n${layer.tensor.name}`),
  )
  return found.toSorted((a, b) => b.cosine - a.cosine)[0] ?? null
}

/** The suspect's weights as the original's file has them, in canonical form; NaN where there is none. */
function toStoredOrder(tensor: OriginalTensor, aligned: AlignedLayer | null): Float32Array {
  const out = new Float32Array(tensor.elementCount).fill(Number.NaN)
  const places = aligned?.layer.places ?? null
  if (aligned === null || places === null) return out
  const { layer, weights } = aligned
  for (let row = 0; row < layer.rows; row += 1) {
    // The layer has everything linear folded in, canonical form the normalisation only; steps are multiplied out in both.
    const canonical = tensor.form === "quantised" ? 1 : (tensor.factors[row] ?? 1)
    const factor = canonical / (layer.factor[row] ?? 1)
    if (!Number.isFinite(factor)) continue
    for (let i = row * layer.inputs; i < (row + 1) * layer.inputs; i += 1)
      out[places[i] ?? 0] = (weights[i] ?? Number.NaN) * factor
  }
  return out
}

function compareWhole(
  original: Float32Array,
  suspect: Float32Array,
): Pick<Scored, "sums"> & { readonly compared: number } {
  let [both, own, other, compared] = [0, 0, 0, 0]
  for (let i = 0; i < original.length; i += 1) {
    const [a, b] = [original[i] ?? 0, suspect[i] ?? Number.NaN]
    own += a * a
    if (!Number.isFinite(b)) continue
    both += a * b
    other += b * b
    compared += 1
  }
  return { sums: { both, own, other }, compared }
}

function wholeCosine(scored: readonly Scored[]): number {
  let [both, own, other] = [0, 0, 0]
  for (const { sums } of scored) {
    both += sums.both
    own += sums.own
    other += sums.other
  }
  return own > 0 && other > 0 ? both / Math.sqrt(own * other) : 0
}

async function traceMode(
  mode: MarkMode,
  scored: readonly Scored[],
  all: readonly IssuedCopy[],
  tests: number,
  sum: SumCodeWords,
): Promise<readonly TracedCopy[]> {
  const coded = scored.flatMap(({ codes, key }) => {
    const scores = codes.get(mode)
    return scores === undefined ? [] : [{ scores, key }]
  })
  const test = new DeviceTest(coded.map(({ scores }) => scores))
  const copies = all.filter((copy) => copy.mode === mode)
  const keyed = test.tensors.map((tensor, index) => ({
    ...tensor,
    key: coded[index]?.key ?? new Uint8Array(32),
  }))
  const sums = test.carriers === 0 ? new Float64Array(copies.length) : await sum(keyed, copies)
  return copies.map((copy, index) => {
    const judged = test.judge(sums[index] ?? 0)
    const { carriers, z, log10p } = judged
    return { copy, carriers, z, log10p, log10pCorrected: correct(log10p, tests) }
  })
}

/** The key of a copy's code word in a tensor; the caller wipes it. */
export function codeWordKey(key: Uint8Array, { device, attempt }: IssuedCopy): Uint8Array {
  return streamKey(key, "code-word", codeWordContext(device, attempt))
}
