/** The X25519 recipient type (C2SP age.md, "The X25519 recipient type"): `age1…` and `AGE-SECRET-KEY-1…`. */
import {
  createCipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  type KeyObject,
} from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { concat, isEqual, toRawBase64, wipe } from "../bytes/bytes.ts"
import { toBech32 } from "./bech32.ts"
import { openAead } from "./hpke.ts"
import { argument, stanzasOfType, type Identity, type Random, type Recipient } from "./recipient.ts"
import { TAG_BYTES } from "./stream.ts"

const TYPE = "X25519"
const INFO = "age-encryption.org/v1/X25519"
const ZERO_NONCE = new Uint8Array(12)

/** `publicKey`: 32 bytes. */
export function x25519Recipient(publicKey: Uint8Array): Recipient {
  return {
    type: TYPE,
    text: toBech32("age", publicKey),
    wrap(fileKey, random) {
      const ephemeral = random(32)
      try {
        const share = x25519PublicKey(ephemeral)
        const key = wrapKey(x25519(ephemeral, publicKey), share, publicKey)
        return { type: TYPE, args: [toRawBase64(share)], body: sealKey(key, fileKey) }
      } finally {
        wipe(ephemeral)
      }
    },
  }
}

/** `secretKey`: 32 bytes, kept by reference and owned by the caller. */
export function x25519Identity(secretKey: Uint8Array): Identity {
  const publicKey = x25519PublicKey(secretKey)
  return {
    async unwrap(stanzas) {
      for (const { values, body } of stanzasOfType(stanzas, TYPE, [32])) {
        const share = argument(values, 0)
        const key = wrapKey(x25519(secretKey, share), share, publicKey)
        const fileKey = openAead(key, ZERO_NONCE, body)
        wipe(key)
        if (fileKey !== null) return fileKey
      }
      return null
    },
  }
}

export function generateX25519(random: Random): {
  readonly secretKey: Uint8Array
  readonly recipient: string
} {
  const secretKey = random(32)
  return { secretKey, recipient: toBech32("age", x25519PublicKey(secretKey)) }
}

/** The identity text age-keygen writes. A secret: the caller keeps it out of logs. */
export function x25519IdentityText(secretKey: Uint8Array): string {
  return toBech32("age-secret-key-", secretKey).toUpperCase()
}

/** RFC 7748: the public key (32 bytes) of a secret key (32 bytes). */
export function x25519PublicKey(secretKey: Uint8Array): Uint8Array {
  const jwk = createPublicKey(privateKeyOf(secretKey)).export({ format: "jwk" })
  return Uint8Array.from(Buffer.from(jwk.x ?? "", "base64url"))
}

/** RFC 7748 6.1: the shared secret, 32 bytes. Throws AGE_MALFORMED for a low-order point (an all-zero secret). */
export function x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== 32) throw new AppError("AGE_MALFORMED", "an X25519 share must be 32 bytes")
  let secret: Uint8Array
  try {
    secret = diffieHellman({ privateKey: privateKeyOf(secretKey), publicKey: publicKeyOf(publicKey) })
  } catch {
    // OpenSSL's derive refuses exactly the points whose shared secret is zero.
    throw lowOrder()
  }
  if (isEqual(secret, new Uint8Array(32))) throw lowOrder()
  return secret
}

function lowOrder(): AppError {
  return new AppError("AGE_MALFORMED", "an X25519 share is a low-order point")
}

function wrapKey(secret: Uint8Array, share: Uint8Array, publicKey: Uint8Array): Uint8Array {
  try {
    return new Uint8Array(hkdfSync("sha256", secret, concat(share, publicKey), INFO, 32))
  } finally {
    wipe(secret)
  }
}

/** ChaCha20-Poly1305 under a key used once, so the nonce is zero. Wipes the key. */
export function sealKey(key: Uint8Array, fileKey: Uint8Array): Uint8Array {
  try {
    const cipher = createCipheriv("chacha20-poly1305", key, ZERO_NONCE, { authTagLength: TAG_BYTES })
    return concat(cipher.update(fileKey), cipher.final(), cipher.getAuthTag())
  } finally {
    wipe(key)
  }
}

const PKCS8_PREFIX = Buffer.from("302e020100300506032b656e04220420", "hex")
const SPKI_PREFIX = Buffer.from("302a300506032b656e032100", "hex")

function privateKeyOf(secretKey: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8_PREFIX, secretKey])
  try {
    return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
  } finally {
    wipe(der)
  }
}

function publicKeyOf(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: "der", type: "spki" })
}
