/** Tests of random numbers. */

/** P-value of Kolmogorov and Smirnov's test that numbers are uniform on [0, 1] (Marsaglia's correction for finite samples). */
export function uniformityP(values: readonly number[] | Float64Array): number {
  const sorted = Float64Array.from(values).sort()
  const n = sorted.length
  let distance = 0
  sorted.forEach((value, i) => {
    distance = Math.max(distance, (i + 1) / n - value, value - i / n)
  })
  const x = distance * (Math.sqrt(n) + 0.12 + 0.11 / Math.sqrt(n))
  let sum = 0
  for (let k = 1; k <= 100; k += 1) sum += (k % 2 === 1 ? 2 : -2) * Math.exp(-2 * k * k * x * x)
  return Math.min(1, Math.max(0, sum))
}

/** Ones among the first `count` bits of the words. */
export function countOnes(words: Uint32Array, from: number, count: number): number {
  let ones = 0
  for (let done = 0, at = from; done < count; done += 32, at += 1) {
    const left = count - done
    let word = words[at] ?? 0
    if (left < 32) word &= 2 ** left - 1
    word -= (word >>> 1) & 0x55555555
    word = (word & 0x33333333) + ((word >>> 2) & 0x33333333)
    ones += (((word + (word >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
  }
  return ones
}
