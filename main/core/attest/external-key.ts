/**
 * A private key that is somewhere else, in the form the X.509 library wants: a WebCrypto key that cannot be read and can
 * only be asked for signatures. So a certificate, request or revocation list is signed by a chip as by a file.
 */
import { createPublicKey, webcrypto } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import type { Signer } from "./dsse.ts"

export interface ExternalKey {
  readonly crypto: webcrypto.Crypto
  readonly keys: webcrypto.CryptoKeyPair
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array<ArrayBuffer>
}

/** What every certificate of ours is signed with. */
export const SIGNING_ALGORITHM = { name: "ECDSA", hash: "SHA-256" } as const

/** Throws KEY_PURPOSE unless the signer's key is P-256. */
export async function externalKey(signer: Signer): Promise<ExternalKey> {
  const publicKey = createPublicKey(signer.publicKeyPem())
  if (publicKey.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new AppError("KEY_PURPOSE", "certificates are signed with P-256 keys")
  const spki = Uint8Array.from(publicKey.export({ type: "spki", format: "der" }))
  const algorithm = { name: "ECDSA", namedCurve: "P-256" }
  const handle = await webcrypto.subtle.importKey("spki", spki, algorithm, true, ["verify"])
  const subtle = new Proxy(webcrypto.subtle, {
    get(target, property) {
      if (property === "sign") {
        return async (_algorithm: unknown, _key: unknown, message: ArrayBuffer | NodeJS.ArrayBufferView) =>
          toRawSignature(await signer.sign(bytesOf(message)))
      }
      const value: unknown = Reflect.get(target, property)
      return typeof value === "function" ? value.bind(target) : value
    },
  })
  // The library takes a whole Crypto and uses its random numbers and `subtle`; both are answered here.
  const crypto = new Proxy(webcrypto, {
    get(target, property) {
      if (property === "subtle") return subtle
      const value: unknown = Reflect.get(target, property)
      return typeof value === "function" ? value.bind(target) : value
    },
  })
  return { crypto, keys: { publicKey: handle, privateKey: handle }, spki }
}

/** ECDSA from DER to r ‖ s of 32 bytes each, which is what WebCrypto answers with. */
function toRawSignature(der: Uint8Array): ArrayBuffer {
  const raw = new Uint8Array(64)
  // SEQUENCE of two INTEGERs; a P-256 signature is too short for long lengths.
  const rLength = der[3] ?? 0
  const r = der.subarray(4, 4 + rLength)
  const s = der.subarray(6 + rLength)
  for (const [index, part] of [r, s].entries()) {
    const digits = part[0] === 0 ? part.subarray(1) : part
    if (der[0] !== 0x30 || digits.length === 0 || digits.length > 32)
      throw new AppError("SIGNATURE_INVALID", "the key answered with something else than a signature")
    raw.set(digits, 32 * (index + 1) - digits.length)
  }
  return raw.buffer
}

function bytesOf(source: ArrayBuffer | NodeJS.ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source)
}
