/**
 * The device code: a Tardos code with one position per weight. The bias p of a position is drawn from the arcsine law,
 * cut at both ends, and a device's bit is 1 with probability p.
 * Source: G. Tardos, Optimal probabilistic fingerprint codes, Journal of the ACM 55(2), 2008, section 2.
 */

/** The law is cut so that 0.02 <= p <= 0.98. */
const CUT = 0.02
/** In 256ths, for the rounding not to undo the cut. */
const MIN_T8 = 5
const MAX_T8 = 251

/**
 * t8 by code-bias byte (256 entries): p = t8 / 256 is the exact probability used everywhere, and a device's bit is 1 when
 * its code-word byte is below t8.
 */
export const T8: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  const first = Math.asin(Math.sqrt(CUT))
  const phi = first + ((byte + 0.5) / 256) * (Math.PI / 2 - 2 * first)
  return Math.min(MAX_T8, Math.max(MIN_T8, Math.round(256 * Math.sin(phi) ** 2)))
})

/** The bits of a code word: 1 where its byte is below t8 of the position's bias byte. All arrays have one entry a weight. */
export function codeWordBits(biasBytes: Uint8Array, wordBytes: Uint8Array): Uint8Array {
  const bits = new Uint8Array(wordBytes.length)
  for (let i = 0; i < bits.length; i += 1)
    bits[i] = (wordBytes[i] ?? 0) < (T8[biasBytes[i] ?? 0] ?? 0) ? 1 : 0
  return bits
}
