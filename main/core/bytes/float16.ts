/** Conversions between IEEE 754 binary16 and numbers. Source: IEEE 754-2019, 3.4 and 3.6. */

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** Value of the 16 bits; exact. */
export function fromFloat16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/**
 * The 16 bits nearest to a float32 value, ties to even; beyond 65504 that is infinity, NaN stays NaN. A number with more
 * digits than a float32 is rounded to one first.
 */
export function toFloat16(value: number): number {
  float[0] = value
  const word = bits[0] ?? 0
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  // 65520 is the first value that rounds to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  // 2^-14, the smallest normal half: below it the step is 2^-24 throughout.
  if (magnitude < 0x38800000) return sign | roundTiesToEven(Math.abs(float[0] ?? 0) * 2 ** 24)
  // Adding half a step, less one unless the kept part is odd, and dropping 13 bits; the exponent moves from bias 127 to 15.
  const odd = (magnitude >>> 13) & 1
  return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13)
}

/** For values below 2^11, whose fractions a number holds exactly. */
function roundTiesToEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest > 0.5 || (rest === 0.5 && floor % 2 === 1)) return floor + 1
  return floor
}
