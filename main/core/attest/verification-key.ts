/** Public keys that may check a signature: EC keys on three curves, each with its one hash. */
import { createHash, createPublicKey, verify, type KeyObject } from "node:crypto"
import { AppError } from "../../contract/errors.ts"

/** Model Signing v1.0, Algorithm Registry: the curve decides the hash, so neither a bundle nor a caller can choose a weaker one. */
const HASH_OF_CURVE: ReadonlyMap<string, KeyHash> = new Map([
  ["prime256v1", "sha256"],
  ["secp384r1", "sha384"],
  ["secp521r1", "sha512"],
])

type KeyHash = "sha256" | "sha384" | "sha512"

export interface VerificationKey {
  readonly key: KeyObject
  readonly hash: KeyHash
  /**
   * SHA-256 over the PEM text of the SPKI, final newline included, lower-case hex. This is what `publicKey.hint` of a
   * bundle holds; a hash over the DER would be another number.
   */
  readonly hint: string
}

/** `null` for anything but a public EC key on P-256, P-384 or P-521. */
export function toVerificationKey(key: KeyObject): VerificationKey | null {
  const hash = HASH_OF_CURVE.get(key.asymmetricKeyDetails?.namedCurve ?? "")
  if (key.type !== "public" || key.asymmetricKeyType !== "ec" || hash === undefined) return null
  // A compressed point or a curve spelt out as parameters is another text for the same key: one key has one hint.
  const plain = createPublicKey({ key: key.export({ format: "jwk" }), format: "jwk" })
  const pem = plain.export({ type: "spki", format: "pem" })
  return { key: plain, hash, hint: createHash("sha256").update(pem).digest("hex") }
}

/** One PEM block `PUBLIC KEY`. Throws KEY_UNREADABLE when it holds no such key, KEY_PURPOSE when it is of another kind. */
export function parseVerificationKey(pem: string): VerificationKey {
  // createPublicKey would also take a private key or a certificate and derive from it: only the public block is meant.
  if (!PUBLIC_BLOCK.test(pem)) throw new AppError("KEY_UNREADABLE", "the text is not a PEM public key")
  const decoded = decode(pem)
  const key = toVerificationKey(decoded)
  if (key !== null) return key
  const curve = decoded.asymmetricKeyDetails?.namedCurve
  const kind = `${decoded.asymmetricKeyType ?? "unknown"} key${curve === undefined ? "" : ` on ${curve}`}`
  throw new AppError(
    "KEY_PURPOSE",
    `signatures are checked with EC keys on P-256, P-384 or P-521, not with an ${kind}`,
  )
}

/**
 * Whether `signature` (ECDSA, DER) over the curve's hash of `message` was made by this key. OpenSSL re-encodes what it
 * read and compares, so BER spellings, padding and trailing bytes are all `false`.
 */
export function isSignatureBy(
  { key, hash }: VerificationKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verify(hash, message, { key, dsaEncoding: "der" }, signature)
}

const PUBLIC_BLOCK = /^\s*-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$/

function decode(pem: string): KeyObject {
  try {
    return createPublicKey({ key: pem, format: "pem" })
  } catch (error) {
    throw new AppError("KEY_UNREADABLE", "the PEM block holds no public key", { cause: error })
  }
}
