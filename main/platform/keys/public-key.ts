/** Public halves in the forms that records, recipients and signatures use. */
import { createHash, type KeyObject } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import type { Key } from "../../contract/schema/keys.ts"
import { toHex, toUtf8 } from "../../core/bytes/bytes.ts"

/**
 * SHA-256 of the SPKI's PEM text (the hint by which OpenSSF Model Signing names a key), or of the recipient text for a key
 * that has no SPKI; hex.
 */
export function fingerprintOf({ publicKeyPem, recipient }: Pick<Key, "publicKeyPem" | "recipient">): string {
  const text = publicKeyPem ?? recipient
  if (text === null) throw new AppError("INTERNAL", "a key without a public half")
  return toHex(createHash("sha256").update(toUtf8(text)).digest())
}

export function pemOf(key: KeyObject): string {
  return key.export({ type: "spki", format: "pem" }).toString()
}

/** The uncompressed point (65 bytes) of a P-256 key. */
export function pointOf(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: "jwk" })
  return Buffer.concat([Buffer.of(4), Buffer.from(x ?? "", "base64url"), Buffer.from(y ?? "", "base64url")])
}
