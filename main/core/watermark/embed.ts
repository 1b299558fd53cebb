/** Writing the mark into the stored bytes of one tensor, in any pieces. The rule is in plan.ts; the normative text docs/FORMAT.md. */
import { fromFloat16, toFloat16 } from "../bytes/float16.ts"
import { portableKernel, type MarkKernel } from "./kernel.ts"
import { rowIndex, type OriginalTensor } from "./original.ts"
import { strengthOf, type MarkParameters } from "./plan.ts"
import { CODE, isSteppable, stepThresholds, type CodeWord, type TensorStreams } from "./streams.ts"

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
function keptBytes({ dataType, live, elementCount }: OriginalTensor): number {
  return dataType === "FLOAT" && live === elementCount ? 2 : 0
}

/** Marks pieces of one tensor for one edition. Pieces may come in any order and of any size; each only once. */
export class TensorEmbedder {
  readonly #kernel: MarkKernel
  readonly #carrier: Carrier
  readonly #edition: Edition
  readonly #rowOf: (element: number) => number
  /** Amounts to add in stored units, four a row: by owner's bit and code bit. Where the code does not act, and where it does. */
  readonly #plain: Float64Array
  readonly #coded: Float64Array
  /** Thresholds of quantised rows: owner, code. */
  readonly #steps: Float64Array

  constructor(carrier: Carrier, edition: Edition, kernel: MarkKernel = portableKernel) {
    this.#kernel = kernel
    this.#carrier = carrier
    this.#edition = edition
    this.#rowOf = rowIndex(carrier.tensor)
    const { strength, codeStrength } = carrier.parameters
    const owner = strengthOf(strength)
    const code = edition.kind === "individual" ? owner : strengthOf(codeStrength)
    this.#plain = amounts(carrier.tensor, owner, 0)
    this.#coded = amounts(carrier.tensor, owner, code)
    this.#steps = thresholds(carrier, edition)
  }

  /** `bytes`: the stored values of elements `first` on, without gaps, little-endian; changed in place. */
  apply(first: number, bytes: Uint8Array): void {
    const { dataType } = this.#carrier.tensor
    const width = dataType === "FLOAT" ? 4 : dataType === "INT8" || dataType === "UINT8" ? 1 : 2
    const count = bytes.length / width
    if (!Number.isInteger(count)) throw new RangeError("a piece ends inside an element")
    // Views need their alignment; a piece of a file has none.
    const copy = Uint8Array.from(bytes)
    if (dataType === "FLOAT") this.#applyFloats(first, new Float32Array(copy.buffer, 0, count))
    else if (width === 2) this.#applyHalves(first, new Uint16Array(copy.buffer, 0, count))
    else if (dataType === "INT8") this.#applySteps(first, new Int8Array(copy.buffer, 0, count))
    else this.#applySteps(first, copy)
    bytes.set(copy)
  }

  #applyFloats(first: number, values: Float32Array): void {
    const count = values.length
    const codes = this.#codes(first, count)
    const subset = this.#subset(first, count)
    if (subset === null) {
      this.#addEverywhere(first, values, codes, this.#coded)
      return
    }
    const coded = this.#codedBlocks(first, values, codes, subset)
    this.#addEverywhere(first, values, codes, this.#plain)
    for (const { from, marked } of coded) values.set(marked, from)
    this.#replaceFloats(first, values, subset)
  }

  /** The marked values of S, made before the owner's mark alone goes over everything. */
  #codedBlocks(first: number, values: Float32Array, codes: Uint8Array, subset: Uint8Array) {
    const blocks: { readonly from: number; readonly marked: Float32Array }[] = []
    if (this.#edition.kind === "base") return blocks
    this.#forBlocks(subset, (from, to) => {
      if (subset[from] !== CODE) return
      const marked = values.slice(from, to)
      this.#addEverywhere(first + from, marked, codes.subarray(from, to), this.#coded)
      blocks.push({ from, marked })
    })
    return blocks
  }

  /** Filler in the base; in what a device assembles, the filler's low bytes under the marked value's high ones. */
  #replaceFloats(first: number, values: Float32Array, subset: Uint8Array): void {
    const kept = keptBytes(this.#carrier.tensor)
    const isBase = this.#edition.kind === "base"
    if (!isBase && kept === 0) return
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
    const mask = isBase ? 0xffff_ffff : 2 ** (8 * kept) - 1
    const filler = new Filler(this.#carrier, this.#rowOf)
    this.#forBlocks(subset, (from, to) => {
      filler.read(first + from, to - from).forEach((value, i) => {
        const word = floatBits(value)
        bits[from + i] = ((bits[from + i] ?? 0) & ~mask) | (word & mask)
      })
    })
  }

  #addEverywhere(first: number, values: Float32Array, codes: Uint8Array, table: Float64Array): void {
    const { inner, rows } = strides(this.#carrier.tensor)
    this.#kernel.add(values, first, inner, rows, codes, table)
  }

  #applyHalves(first: number, halves: Uint16Array): void {
    const isBrain = this.#carrier.tensor.dataType === "BFLOAT16"
    const codes = this.#codes(first, halves.length)
    const subset = this.#subset(first, halves.length)
    for (let i = 0; i < halves.length; i += 1) {
      const table = subset === null || subset[i] === CODE ? this.#coded : this.#plain
      const half = halves[i] ?? 0
      const value = isBrain ? fromBrain(half) : fromFloat16(half)
      const sum = added(value, table[this.#rowOf(first + i) * 4 + (codes[i] ?? 0)] ?? 0)
      const marked = isBrain ? toBrain(sum) : toFloat16(sum)
      const staysFinite = Number.isFinite(isBrain ? fromBrain(marked) : fromFloat16(marked))
      if (value !== 0 && staysFinite) halves[i] = marked
    }
    if (subset === null || this.#edition.kind !== "base") return
    const filler = new Filler(this.#carrier, this.#rowOf)
    this.#forBlocks(subset, (from, to) => {
      filler.read(first + from, to - from).forEach((value, i) => {
        halves[from + i] = isBrain ? toBrain(value) : toFloat16(value)
      })
    })
  }

  #applySteps(first: number, values: Int8Array | Uint8Array): void {
    const type = values instanceof Int8Array ? "INT8" : "UINT8"
    const { zeroPoints, factors, sigmas } = this.#carrier.tensor
    const count = values.length
    const codes = this.#codes(first, count)
    const picks = this.#carrier.streams.picks(first, count)
    const subset = this.#subset(first, count)
    const filler = new Filler(this.#carrier, this.#rowOf)
    for (let i = 0; i < count; i += 1) {
      const row = this.#rowOf(first + i)
      const value = values[i] ?? 0
      const zero = zeroPoints[row] ?? 0
      if ((sigmas[row] ?? 0) === 0 || !isSteppable(value, zero, type)) continue
      const pick = picks[i] ?? 0
      const owner = this.#steps[row * 2] ?? 0
      const code = subset === null || subset[i] === CODE ? (this.#steps[row * 2 + 1] ?? 0) : 0
      if (pick < owner) values[i] = value + ((codes[i] ?? 0) & 2) - 1
      else if (pick < owner + code) values[i] = value + ((codes[i] ?? 0) & 1) * 2 - 1
    }
    if (subset === null || this.#edition.kind !== "base") return
    this.#forBlocks(subset, (from, to) => {
      filler.read(first + from, to - from).forEach((noise, i) => {
        const row = this.#rowOf(first + from + i)
        const step = Math.round(noise / (factors[row] ?? 1)) + (zeroPoints[row] ?? 0)
        values[from + i] =
          type === "INT8" ? Math.max(-127, Math.min(127, step)) : Math.max(0, Math.min(255, step))
      })
    })
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

  /** `null` where every weight carries the code. */
  #subset(first: number, count: number): Uint8Array | null {
    if (this.#edition.kind === "individual") return null
    return this.#carrier.streams.subset(first, count, this.#carrier.parameters)
  }

  /** Stretches of one kind: S or decoys. */
  #forBlocks(subset: Uint8Array, visit: (from: number, to: number) => void): void {
    for (let from = 0; from < subset.length;) {
      const kind = subset[from]
      if (kind === 0) {
        from += 1
        continue
      }
      let to = from + 1
      while (to < subset.length && subset[to] === kind) to += 1
      visit(from, to)
      from = to
    }
  }
}

const NOTHING = new Uint8Array(0)

/** What stands in the payload where overlays will put weights: noise of the row's spread that knows nothing of θ. */
class Filler {
  readonly #carrier: Carrier
  readonly #rowOf: (element: number) => number

  constructor(carrier: Carrier, rowOf: (element: number) => number) {
    this.#carrier = carrier
    this.#rowOf = rowOf
  }

  /** In stored units for floats, in canonical units for quantised tensors: σ·√6·(a + b - 65535)/65536 of the word's halves a, b. */
  read(first: number, count: number): Float32Array {
    const { tensor, streams } = this.#carrier
    const isFloat = tensor.form === "float"
    return Float32Array.from(streams.fill(first, count), (word, i) => {
      const row = this.#rowOf(first + i)
      const spread = (tensor.sigmas[row] ?? 0) / (isFloat ? Math.abs(tensor.factors[row] ?? 1) || 1 : 1)
      return (((word & 0xffff) + (word >>> 16) - 65_535) / 65_536) * Math.sqrt(6) * spread
    })
  }
}

/** The sum as a float32; a zero stays a zero, and what would not be finite stays as it was. */
function added(value: number, amount: number): number {
  if (value === 0) return value
  const sum = Math.fround(value + amount)
  return Number.isFinite(sum) ? sum : value
}

function amounts({ sigmas, factors, rows, form }: OriginalTensor, owner: number, code: number): Float64Array {
  const table = new Float64Array(rows * 4)
  if (form === "quantised") return table
  for (let row = 0; row < rows; row += 1) {
    const sigma = sigmas[row] ?? 0
    // A row whose factor is zero has σ = 0 as well and stays as it is.
    const unit = sigma === 0 ? 0 : sigma / (factors[row] ?? 1)
    for (let bits = 0; bits < 4; bits += 1) {
      const relative = owner * ((bits & 2) - 1) + code * ((bits & 1) * 2 - 1)
      table[row * 4 + bits] = unit * relative
    }
  }
  return table
}

function thresholds({ tensor, parameters }: Carrier, edition: Edition): Float64Array {
  const table = new Float64Array(tensor.rows * 2)
  if (tensor.form === "float") return table
  for (let row = 0; row < tensor.rows; row += 1) {
    const step = Math.abs(tensor.factors[row] ?? 1)
    const mode = edition.kind === "individual" ? "individual" : "fleet"
    const { owner, code } = stepThresholds(
      parameters,
      mode,
      step === 0 ? 0 : (tensor.sigmas[row] ?? 0) / step,
    )
    table[row * 2] = owner
    table[row * 2 + 1] = edition.kind === "base" ? 0 : code
  }
  return table
}

function strides({ dims, rowAxis }: OriginalTensor): { readonly inner: number; readonly rows: number } {
  const inner = dims.slice(rowAxis + 1).reduce((product, dim) => product * dim, 1)
  return { inner, rows: dims[rowAxis] ?? 1 }
}

const float = new Float32Array(1)
const word = new Uint32Array(float.buffer)

function floatBits(value: number): number {
  float[0] = value
  return word[0] ?? 0
}

function fromBrain(half: number): number {
  word[0] = half << 16
  return float[0] ?? 0
}

/** bfloat16 nearest to a float32, ties to even. */
function toBrain(value: number): number {
  const bits = floatBits(value)
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}
