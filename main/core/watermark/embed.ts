/** Writing the mark into the stored bytes of one tensor, in any pieces. The rule is in plan.ts; the normative text docs/FORMAT.md. */
import { toFloat16 } from "../bytes/float16.ts"
import {
  CODES,
  IN_SUBSET,
  portableKernel,
  toBfloat16,
  type MarkKernel,
  type PiecePlace,
  type StepRules,
} from "./kernel.ts"
import { stridesOf, type OriginalTensor } from "./original.ts"
import { strengthOf, type MarkParameters } from "./plan.ts"
import { stepThresholds, type CodeWord, type SubsetBlock, type TensorStreams } from "./streams.ts"

/** A tensor together with what its plan and its keys say. */
export interface Carrier {
  readonly tensor: OriginalTensor
  readonly parameters: MarkParameters
  readonly streams: TensorStreams
}

/** Which copy is being made: a device's own, the payload a fleet shares, or what a device of a fleet assembles from it. */
export type Edition =
  | { readonly kind: "individual"; readonly word: CodeWord }
  | { readonly kind: "base" }
  | { readonly kind: "fleet"; readonly word: CodeWord }
  /** As `fleet`, for a device whose every bit is this one: what overlays are made from. */
  | { readonly kind: "fleet-bit"; readonly bit: 0 | 1 }

/**
 * Low-order bytes of each float32 in S that stay those of the payload's filler, so that an overlay carries only the others: a
 * weight then has the sign, exponent and first seven fraction bits of its marked value. A tensor with exact zeros keeps none,
 * or its zeros would not stay zero.
 */
export function keptBytes({ dataType, live, elementCount }: OriginalTensor): number {
  return dataType === "FLOAT" && live === elementCount ? 2 : 0
}

/** Marks pieces of one tensor for one edition. Pieces may come in any order and of any size; each only once. */
export class TensorEmbedder {
  readonly #kernel: MarkKernel
  readonly #carrier: Carrier
  readonly #edition: Edition
  readonly #width: number
  readonly #place: Omit<PiecePlace, "first">
  /** Amounts to add in stored units, by row and code. */
  readonly #amounts: Float64Array
  readonly #steps: StepRules
  readonly #spreads: Float64Array

  constructor(carrier: Carrier, edition: Edition, kernel: MarkKernel = portableKernel) {
    const { dataType } = carrier.tensor
    this.#kernel = kernel
    this.#carrier = carrier
    this.#edition = edition
    this.#width = dataType === "FLOAT" ? 4 : dataType === "INT8" || dataType === "UINT8" ? 1 : 2
    this.#place = stridesOf(carrier.tensor)
    this.#amounts = amountsOf(carrier, edition)
    this.#steps = stepRules(carrier, edition)
    this.#spreads = spreadsOf(carrier.tensor)
  }

  /** `bytes`: the stored values of elements `first` on, without gaps, little-endian; changed in place. */
  apply(first: number, bytes: Uint8Array): void {
    if (bytes.length % this.#width !== 0) throw new RangeError("a piece ends inside an element")
    if (bytes.byteOffset % this.#width === 0) {
      this.#mark(first, bytes)
      return
    }
    // Views need their alignment, and a piece of a file may have none.
    const aligned = new Uint8Array(bytes)
    this.#mark(first, aligned)
    bytes.set(aligned)
  }

  #mark(first: number, bytes: Uint8Array): void {
    const count = bytes.length / this.#width
    const place = { ...this.#place, first }
    const blocks = this.#blocks(first, count)
    const codes = this.#codes(first, count)
    for (const block of blocks)
      if (block.isCode)
        for (let i = block.first - first; i < block.first - first + block.count; i += 1)
          codes[i] = (codes[i] ?? 0) | IN_SUBSET
    const { dataType } = this.#carrier.tensor
    if (dataType === "FLOAT") {
      const values = new Float32Array(bytes.buffer, bytes.byteOffset, count)
      this.#kernel.addFloats(values, place, codes, this.#amounts)
      this.#fillFloats(values, first, blocks)
    } else if (this.#width === 2) {
      const values = new Uint16Array(bytes.buffer, bytes.byteOffset, count)
      const isBrain = dataType === "BFLOAT16"
      if (isBrain) this.#kernel.addBrains(values, place, codes, this.#amounts)
      else this.#kernel.addHalves(values, place, codes, this.#amounts)
      this.#fill(values, first, blocks, isBrain ? toBfloat16 : toFloat16)
    } else {
      this.#kernel.step(bytes, place, codes, this.#carrier.streams.picks(first, count), this.#steps)
      this.#fill(bytes, first, blocks, (noise, row) => this.#toStep(noise, row))
    }
  }

  /** Filler in the base; in what a device assembles, the filler's low bytes under the marked value's high ones. */
  #fillFloats(values: Float32Array, first: number, blocks: readonly SubsetBlock[]): void {
    const kept = this.#edition.kind === "base" ? 4 : keptBytes(this.#carrier.tensor)
    if (kept === 0 || blocks.length === 0) return
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
    const filler = new Uint32Array(this.#filler(blocks).buffer)
    const mask = kept === 4 ? 0xffff_ffff : 2 ** (8 * kept) - 1
    let at = 0
    for (const block of blocks)
      for (let i = block.first - first; i < block.first - first + block.count; i += 1, at += 1)
        bits[i] = ((bits[i] ?? 0) & ~mask) | ((filler[at] ?? 0) & mask)
  }

  #fill(
    values: Uint16Array | Uint8Array,
    first: number,
    blocks: readonly SubsetBlock[],
    toStored: (noise: number, row: number) => number,
  ): void {
    if (this.#edition.kind !== "base" || blocks.length === 0) return
    const { inner, rows } = this.#place
    const filler = this.#filler(blocks)
    let at = 0
    for (const block of blocks)
      for (let element = block.first; element < block.first + block.count; element += 1, at += 1)
        values[element - first] = toStored(filler[at] ?? 0, Math.floor(element / inner) % rows)
  }

  /**
   * What stands in the payload where overlays will put weights: noise of the row's spread that knows nothing of θ, for every
   * weight of the blocks. In stored units for floats, in canonical units for quantised tensors: σ·√6·(a + b - 65535)/65536 of
   * the word's halves a, b, as a float32.
   */
  #filler(blocks: readonly SubsetBlock[]): Float32Array {
    const { inner, rows } = this.#place
    const words = this.#carrier.streams.fillers(blocks)
    const noise = new Float32Array(words.length)
    let at = 0
    for (const { first, count } of blocks)
      for (let element = first; element < first + count; element += 1, at += 1) {
        const word = words[at] ?? 0
        const spread = this.#spreads[Math.floor(element / inner) % rows] ?? 0
        noise[at] = (((word & 0xffff) + (word >>> 16) - 65_535) / 65_536) * Math.sqrt(6) * spread
      }
    return noise
  }

  #toStep(noise: number, row: number): number {
    const { factors, zeroPoints, dataType } = this.#carrier.tensor
    const step = Math.round(noise / (factors[row] ?? 1)) + (zeroPoints[row] ?? 0)
    return dataType === "INT8" ? Math.max(-127, Math.min(127, step)) : Math.max(0, Math.min(255, step))
  }

  #codes(first: number, count: number): Uint8Array {
    const { streams } = this.#carrier
    const edition = this.#edition
    const codes = new Uint8Array(count)
    const owner = streams.ownerSignBytes(first, count)
    const skip = first % 8
    if (edition.kind === "base") this.#kernel.codes(owner, NOTHING, skip, NOTHING, NOTHING, codes)
    else {
      const signs = streams.codeSignBytes(first, count)
      const bias = streams.biasBytes(first, count)
      // A byte of 0 is below every t8, one of 255 below none.
      const word =
        edition.kind === "fleet-bit"
          ? new Uint8Array(count).fill(edition.bit === 1 ? 0 : 255)
          : streams.wordBytes(edition.word, first, count)
      this.#kernel.codes(owner, signs, skip, bias, word, codes)
    }
    return codes
  }

  /** None where every weight carries the code. */
  #blocks(first: number, count: number): readonly SubsetBlock[] {
    if (this.#edition.kind === "individual") return []
    return this.#carrier.streams.blocks(first, count, this.#carrier.parameters)
  }
}

const NOTHING = new Uint8Array(0)

/** σ of each row in the units of `#filler`. */
function spreadsOf({ sigmas, factors, form }: OriginalTensor): Float64Array {
  return Float64Array.from(
    sigmas,
    (sigma, row) => sigma / (form === "float" ? Math.abs(factors[row] ?? 1) || 1 : 1),
  )
}

/** Amounts in stored units, by row and code (see kernel.ts). */
function amountsOf({ tensor, parameters }: Carrier, edition: Edition): Float64Array {
  const { sigmas, factors, rows, form } = tensor
  const table = new Float64Array(rows * CODES)
  if (form === "quantised") return table
  const owner = strengthOf(parameters.strength)
  const outside = edition.kind === "individual" ? owner : 0
  const inside = strengthOf(parameters.codeStrength)
  for (let row = 0; row < rows; row += 1) {
    const sigma = sigmas[row] ?? 0
    // A row whose factor is zero has σ = 0 as well and stays as it is.
    const unit = sigma === 0 ? 0 : sigma / (factors[row] ?? 1)
    for (let code = 0; code < CODES; code += 1) {
      const strength = code >= IN_SUBSET ? inside : outside
      const relative = owner * ((code & 2) - 1) + strength * ((code & 1) * 2 - 1)
      table[row * CODES + code] = unit * relative
    }
  }
  return table
}

function stepRules({ tensor, parameters }: Carrier, edition: Edition): StepRules {
  const { sigmas, factors, zeroPoints, rows, form, dataType } = tensor
  const limits = new Float64Array(rows * 3)
  if (form === "quantised")
    for (let row = 0; row < rows; row += 1) {
      const step = Math.abs(factors[row] ?? 1)
      const sigma = sigmas[row] ?? 0
      if (sigma === 0 || step === 0) continue
      const mode = edition.kind === "individual" ? "individual" : "fleet"
      const { owner, code } = stepThresholds(parameters, mode, sigma / step)
      limits.set([owner, owner + (mode === "individual" ? code : 0), owner + code], row * 3)
    }
  return { limits, zeroPoints, isSigned: dataType === "INT8" }
}
