/**
 * Private keys as bytes in this process: made, written in the form standard tools read (PKCS#8 PEM, age identity file), and
 * used. A hybrid key is the PEM followed by a block with its ML-KEM seed.
 */
import {
  constants,
  createPrivateKey,
  generateKeyPairSync,
  sign,
  createPublicKey,
  type KeyObject,
} from "node:crypto"
import { AppError } from "../../../contract/errors.ts"
import type { Key } from "../../../contract/schema/keys.ts"
import { MLKEM_SEED_BYTES, mlkemKeyPair } from "../../../core/age/mlkem.ts"
import { pqTagIdentity, pqTagRecipient } from "../../../core/age/mlkem768p256tag.ts"
import { softwareP256, type P256Key } from "../../../core/age/p256.ts"
import { p256TagIdentity, p256TagRecipient } from "../../../core/age/p256tag.ts"
import type { Identity, Random } from "../../../core/age/recipient.ts"
import { parseIdentity } from "../../../core/age/recipients.ts"
import { generateX25519, x25519IdentityText } from "../../../core/age/x25519.ts"
import { concat, parseBase64, toBase64, toUtf8, wipe } from "../../../core/bytes/bytes.ts"
import type { NewKey } from "../../../services/ports/keys.ts"
import { pemOf, pointOf } from "../public-key.ts"

export interface Material {
  /** The caller wipes it. */
  readonly secret: Uint8Array
  readonly public: Pick<Key, "algorithm" | "publicKeyPem" | "recipient">
}

export function makeMaterial({ purpose, algorithm }: NewKey, random: Random): Material {
  return algorithm === "X25519" ? makeX25519(random) : makeP256(purpose, algorithm, random)
}

/** A signing key from elsewhere: P-256, or RSA of 2048 bits or more. Throws KEY_PURPOSE for any other. */
export function materialOf(key: KeyObject): Material {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  const isRsa = key.asymmetricKeyType === "rsa" && modulusLength >= 2048
  if (!isRsa && namedCurve !== "prime256v1")
    throw new AppError(
      "KEY_PURPOSE",
      "only keys on P-256 and RSA keys of 2048 bits or more can be taken over",
    )
  return {
    secret: toUtf8(key.export({ type: "pkcs8", format: "pem" }).toString()),
    public: {
      algorithm: isRsa ? "RSA" : "P-256",
      publicKeyPem: pemOf(createPublicKey(key)),
      recipient: null,
    },
  }
}

/** SHA-256 with ECDSA, DER, or with RSA-PSS (salt 32 bytes). */
export function signWith(secret: Uint8Array, message: Uint8Array): Uint8Array {
  const key = parsePrivateKey(secret)
  if (key.asymmetricKeyType !== "rsa") return sign("sha256", message, key)
  return sign("sha256", message, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })
}

export async function ecdhWith(secret: Uint8Array, point: Uint8Array): Promise<Uint8Array> {
  return p256Of(secret).ecdh(point)
}

export function identityOf(algorithm: Key["algorithm"], secret: Uint8Array): Identity {
  if (algorithm === "X25519") return parseIdentity(identityLine(secret))
  const key = p256Of(secret)
  return algorithm === "P-256" ? p256TagIdentity(key) : pqTagIdentity(seedOf(secret), key)
}

function makeP256(purpose: Key["purpose"], algorithm: Key["algorithm"], random: Random): Material {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString()
  const publicKeyPem = pemOf(publicKey)
  if (algorithm === "P-256") {
    const recipient = purpose === "device" ? p256TagRecipient(pointOf(publicKey)).text : null
    return { secret: toUtf8(pem), public: { algorithm, publicKeyPem, recipient } }
  }
  const seed = random(MLKEM_SEED_BYTES)
  try {
    return {
      secret: toUtf8(`${pem}${SEED_BEGIN}\n${toBase64(seed)}\n${SEED_END}\n`),
      public: {
        algorithm,
        publicKeyPem,
        recipient: pqTagRecipient(concat(mlkemKeyPair(seed).publicKey, pointOf(publicKey))).text,
      },
    }
  } finally {
    wipe(seed)
  }
}

function makeX25519(random: Random): Material {
  const { secretKey, recipient } = generateX25519(random)
  try {
    return {
      secret: toUtf8(`# public key: ${recipient}\n${x25519IdentityText(secretKey)}\n`),
      public: { algorithm: "X25519", publicKeyPem: null, recipient },
    }
  } finally {
    wipe(secretKey)
  }
}

function p256Of(secret: Uint8Array): P256Key {
  const key = parsePrivateKey(secret)
  const { d } = key.export({ format: "jwk" })
  if (createPublicKey(key).asymmetricKeyDetails?.namedCurve !== "prime256v1" || d === undefined)
    throw damaged()
  const scalar = Buffer.from(d, "base64url")
  try {
    return softwareP256(scalar)
  } finally {
    wipe(scalar)
  }
}

const SEED_BEGIN = "-----BEGIN SEALWRIGHT ML-KEM-768 SEED-----"
const SEED_END = "-----END SEALWRIGHT ML-KEM-768 SEED-----"

function seedOf(secret: Uint8Array): Uint8Array {
  const lines = textOf(secret).split("\n")
  const seed = parseBase64(lines[lines.indexOf(SEED_BEGIN) + 1] ?? "")
  if (seed?.length !== MLKEM_SEED_BYTES) throw damaged()
  return seed
}

function identityLine(secret: Uint8Array): string {
  const line = textOf(secret)
    .split(/\r?\n/)
    .find((candidate) => candidate !== "" && !candidate.startsWith("#"))
  if (line === undefined) throw damaged()
  return line
}

function parsePrivateKey(secret: Uint8Array): KeyObject {
  try {
    return createPrivateKey(Buffer.from(secret.buffer, secret.byteOffset, secret.byteLength))
  } catch {
    // The text of the failure could quote the key.
    throw damaged()
  }
}

function textOf(secret: Uint8Array): string {
  return Buffer.from(secret.buffer, secret.byteOffset, secret.byteLength).toString("latin1")
}

function damaged(): AppError {
  return new AppError("KEY_UNREADABLE", "the private part of the key is damaged")
}
