/** r and s of an ECDSA signature on P-256 (32 bytes each) as DER: what signatures look like outside of chips. */
export function toDerSignature(r: Uint8Array, s: Uint8Array): Uint8Array {
  const body = Buffer.concat([toInteger(r), toInteger(s)])
  return Buffer.concat([Buffer.of(0x30, body.length), body])
}

/** DER INTEGER of an unsigned number: no leading zeros, but one where the first bit would read as a sign. */
function toInteger(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0)
  const digits = first < 0 ? Uint8Array.of(0) : bytes.subarray(first)
  const isHigh = ((digits[0] ?? 0) & 0x80) !== 0
  const length = digits.length + (isHigh ? 1 : 0)
  return Buffer.concat([Buffer.of(0x02, length), ...(isHigh ? [Buffer.of(0)] : []), digits])
}
