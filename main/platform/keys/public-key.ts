/** Public halves in the forms that records, recipients and signatures use. */
import { createHash, createPublicKey, type KeyObject } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import type { Key } from "../../contract/schema/keys.ts"
import { toUncompressed } from "../../core/age/p256.ts"
import { toHex, toUtf8 } from "../../core/bytes/bytes.ts"

/** SPKI of a P-256 point in front of its 65 bytes (RFC 5480). */
const SPKI_P256 = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex")

/**
 * SHA-256 of the SPKI's PEM text (the hint by which OpenSSF Model Signing names a key), or of the recipient text for a key
 * that has no SPKI; hex.
 */
export function fingerprintOf({ publicKeyPem, recipient }: Pick<Key, "publicKeyPem" | "recipient">): string {
  const text = publicKeyPem ?? recipient
  if (text === null) throw new AppError("INTERNAL", "a key without a public half")
  return toHex(createHash("sha256").update(toUtf8(text)).digest())
}

/** `point`: uncompressed, 65 bytes. Throws KEY_UNREADABLE when it is not on the curve. */
export function pemOfPoint(point: Uint8Array): string {
  if (toUncompressed(point) === null)
    throw new AppError("KEY_UNREADABLE", "the public key is not a P-256 point")
  return pemOf(createPublicKey({ key: Buffer.concat([SPKI_P256, point]), format: "der", type: "spki" }))
}

export function pemOf(key: KeyObject): string {
  return key.export({ type: "spki", format: "pem" }).toString()
}

/** The uncompressed point (65 bytes) of a P-256 public key in PEM. Throws KEY_UNREADABLE for any other. */
export function pointOfPem(pem: string | null): Uint8Array {
  const key = pem === null ? null : createPublicKey(pem)
  if (key?.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new AppError("KEY_UNREADABLE", "the record holds no P-256 public key")
  return pointOf(key)
}

/** The uncompressed point (65 bytes) of a P-256 key. */
export function pointOf(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: "jwk" })
  return Buffer.concat([Buffer.of(4), Buffer.from(x ?? "", "base64url"), Buffer.from(y ?? "", "base64url")])
}
