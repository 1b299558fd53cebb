/** The P-256 point inside a tagged recipient: what ties `age1tag1…` or `age1tagpq1…` to a key in a chip. */
import { parseBech32 } from "./bech32.ts"
import { PQ_TAG_RECIPIENT_BYTES } from "./mlkem768p256tag.ts"
import { POINT_BYTES, toUncompressed } from "./p256.ts"

/** Uncompressed, 65 bytes; `null` for recipients of other kinds. */
export function recipientPoint(text: string): Uint8Array | null {
  const decoded = parseBech32(text)
  if (decoded?.prefix === "age1tag") return toUncompressed(decoded.bytes)
  if (decoded?.prefix === "age1tagpq" && decoded.bytes.length === PQ_TAG_RECIPIENT_BYTES)
    return toUncompressed(decoded.bytes.subarray(PQ_TAG_RECIPIENT_BYTES - POINT_BYTES))
  return null
}
