/**
 * The two inner loops of embedding. The native addon has the same loops (native/src/mark.cc) with the same results to the
 * last bit: sums are made in double precision and rounded once, and nothing is fused.
 */
import { T8 } from "./tardos.ts"

export interface MarkKernel {
  readonly name: string
  /**
   * Two bits a weight into `codes`: the owner's sign, and below it whether the device's mark is positive. `owner` and `signs`
   * are stream bytes whose bit `skip` (below 8) belongs to the first weight; `bias` and `word` have one byte a weight. Without
   * a device `signs`, `bias` and `word` are empty and the lower bit is 0.
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
   * values[i] += amounts[row·4 + codes[i]], where row = floor((first + i) / inner) mod rows. Exact zeros stay, and so does a
   * value whose sum is not finite.
   */
  add(
    values: Float32Array,
    first: number,
    inner: number,
    rows: number,
    codes: Uint8Array,
    amounts: Float64Array,
  ): void
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
  add(values, first, inner, rows, codes, amounts) {
    let row = Math.floor(first / inner) % rows
    let left = inner - (first % inner)
    for (let i = 0; i < values.length;) {
      const end = Math.min(values.length, i + left)
      for (; i < end; i += 1) {
        const value = values[i] ?? 0
        const sum = Math.fround(value + (amounts[row * 4 + (codes[i] ?? 0)] ?? 0))
        if (value !== 0 && sum - sum === 0) values[i] = sum
      }
      row = row + 1 === rows ? 0 : row + 1
      left = inner
    }
  },
}
