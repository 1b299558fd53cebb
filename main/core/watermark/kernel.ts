/**
 * The inner loops of embedding. The native addon has the same loops (native/src/mark.cc) with the same results to the last
 * bit: sums are made in double precision and rounded once, and nothing is fused.
 *
 * A weight's code is a byte: bit 1 the owner's sign, bit 0 whether the device's mark is positive, bit 2 (`IN_SUBSET`) whether
 * the weight is in S of a fleet's copy. Tables have an entry for each of the eight codes of a row.
 */
import { fromFloat16, toFloat16 } from "../bytes/float16.ts"
import { T8 } from "./tardos.ts"

/** The bit of a weight's code that says it is in S. */
export const IN_SUBSET = 4
/** Codes of one row. */
export const CODES = 8

/** Where a piece of a tensor stands: row = floor((first + i) / inner) mod rows. */
export interface PiecePlace {
  readonly first: number
  readonly inner: number
  readonly rows: number
}

/** Which steps quantised weights take, and which may. */
export interface StepRules {
  /** Three a row: a pick below the first moves by the owner's sign, below the second (in S: the third) by the code's. */
  readonly limits: Float64Array
  /** One a row: a weight that stands there is a true zero and stays. */
  readonly zeroPoints: Int32Array
  /** INT8 moves within -127…127, UINT8 within 0…255; what stands at an end or beyond stays. */
  readonly isSigned: boolean
}

export interface MarkKernel {
  readonly name: string
  /**
   * Bits 0 and 1 of every weight's code into `codes`. `owner` and `signs` are stream bytes whose bit `skip` (below 8) belongs
   * to the first weight; `bias` and `word` have one byte a weight. Without a device `signs`, `bias` and `word` are empty and
   * bit 0 is 0.
   */
  codes(
    owner: Uint8Array,
    signs: Uint8Array,
    skip: number,
    bias: Uint8Array,
    word: Uint8Array,
    codes: Uint8Array,
  ): void
  /**
   * values[i] += amounts[row·8 + codes[i]]. Exact zeros stay, and so does a value whose sum is not finite. The other two do the
   * same for stored float16 and bfloat16 bits: the sum is rounded to float32, then to the nearest half, ties to even.
   */
  addFloats(values: Float32Array, place: PiecePlace, codes: Uint8Array, amounts: Float64Array): void
  addHalves(values: Uint16Array, place: PiecePlace, codes: Uint8Array, amounts: Float64Array): void
  addBrains(values: Uint16Array, place: PiecePlace, codes: Uint8Array, amounts: Float64Array): void
  /** Moves stored INT8 or UINT8 values by one step where their pick (u32) says so. */
  step(values: Uint8Array, place: PiecePlace, codes: Uint8Array, picks: Uint32Array, rules: StepRules): void
}

export const portableKernel: MarkKernel = {
  name: "portable",
  codes(owner, signs, skip, bias, word, codes) {
    if (signs.length === 0) {
      for (let i = 0, bit = skip; i < codes.length; i += 1, bit += 1)
        codes[i] = (((owner[bit >> 3] ?? 0) >> (bit & 7)) & 1) << 1
      return
    }
    for (let i = 0, bit = skip; i < codes.length; i += 1, bit += 1) {
      const owned = ((owner[bit >> 3] ?? 0) >> (bit & 7)) & 1
      const sign = ((signs[bit >> 3] ?? 0) >> (bit & 7)) & 1
      // The sign bit of the difference: 1 where the word's byte is below t8.
      const x = ((word[i] ?? 0) - (T8[bias[i] ?? 0] ?? 0)) >>> 31
      // s·(2x - 1) is positive where both bits agree.
      codes[i] = (owned << 1) | (sign ^ x ^ 1)
    }
  },
  addFloats(values, place, codes, amounts) {
    const rows = rowsOf(values.length, place)
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i] ?? 0
      const sum = Math.fround(value + (amounts[(rows[i] ?? 0) * CODES + (codes[i] ?? 0)] ?? 0))
      if (value !== 0 && sum - sum === 0) values[i] = sum
    }
  },
  addHalves(values, place, codes, amounts) {
    const wide = halfValues()
    const rows = rowsOf(values.length, place)
    for (let i = 0; i < values.length; i += 1) {
      const value = wide[values[i] ?? 0] ?? 0
      if (value === 0) continue
      const marked = toFloat16(value + (amounts[(rows[i] ?? 0) * CODES + (codes[i] ?? 0)] ?? 0))
      if ((marked & 0x7c00) !== 0x7c00) values[i] = marked
    }
  },
  addBrains(values, place, codes, amounts) {
    const rows = rowsOf(values.length, place)
    for (let i = 0; i < values.length; i += 1) {
      const value = fromBfloat16(values[i] ?? 0)
      if (value === 0) continue
      const marked = toBfloat16(value + (amounts[(rows[i] ?? 0) * CODES + (codes[i] ?? 0)] ?? 0))
      if ((marked & 0x7f80) !== 0x7f80) values[i] = marked
    }
  },
  step(values, place, codes, picks, { limits, zeroPoints, isSigned }) {
    // Seen from its lower end either type reaches from 0 to 255; what may be left is 2…254 of INT8 and 1…254 of UINT8.
    const [offset, lowest] = isSigned ? [128, 2] : [0, 1]
    const rows = rowsOf(values.length, place)
    for (let i = 0; i < values.length; i += 1) {
      const row = rows[i] ?? 0
      const code = codes[i] ?? 0
      const pick = picks[i] ?? 0
      if (pick >= (limits[row * 3 + (code >= IN_SUBSET ? 2 : 1)] ?? 0)) continue
      const value = ((values[i] ?? 0) + offset) & 0xff
      const zero = ((zeroPoints[row] ?? 0) + offset) & 0xff
      if (value === zero || value < lowest || value > 254) continue
      const isUp = pick < (limits[row * 3] ?? 0) ? code & 2 : code & 1
      values[i] = (values[i] ?? 0) + (isUp === 0 ? -1 : 1)
    }
  },
}

/** The row of every weight of a piece. */
export function rowsOf(count: number, { first, inner, rows }: PiecePlace): Uint32Array {
  const out = new Uint32Array(count)
  let row = Math.floor(first / inner) % rows
  let from = 0
  for (let to = inner - (first % inner); from < count; to += inner) {
    if (inner === 1) out[from] = row
    else out.fill(row, from, to)
    from = to
    row = row + 1 === rows ? 0 : row + 1
  }
  return out
}

let halves: Float32Array | null = null

/** The value of every float16, by its bits. */
function halfValues(): Float32Array {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => fromFloat16(bits))
  return halves
}

const float = new Float32Array(1)
const word = new Uint32Array(float.buffer)

export function fromBfloat16(bits: number): number {
  word[0] = bits << 16
  return float[0] ?? 0
}

/** bfloat16 nearest to a float32, ties to even. */
export function toBfloat16(value: number): number {
  float[0] = value
  const bits = word[0] ?? 0
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}
