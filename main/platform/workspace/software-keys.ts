/**
 * Keys in files: the fallback where no hardware is at hand, and always reported as such. Private keys are kept in the form
 * standard tools read (PKCS#8 PEM, age identity file), readable by their owner alone.
 */
import { createHash, createPrivateKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto"
import path from "node:path"
import { AppError } from "../../contract/errors.ts"
import { keySchema, type Key } from "../../contract/schema/keys.ts"
import { p256TagIdentity, p256TagRecipient } from "../../core/age/p256tag.ts"
import { softwareP256 } from "../../core/age/p256.ts"
import type { Identity, Random } from "../../core/age/recipient.ts"
import { parseIdentity } from "../../core/age/recipients.ts"
import { generateX25519, x25519IdentityText } from "../../core/age/x25519.ts"
import { toHex, toUtf8, wipe } from "../../core/bytes/bytes.ts"
import type { KeyStore } from "../../services/ports.ts"
import { checkName, readIfThere, Records, removeFile, writePrivate } from "./records.ts"

/** `folder`: the workspace's `keys`. One folder a purpose, so a device and a signing key may share a name. */
export function softwareKeys(folder: string, random: Random, now: () => Date): KeyStore {
  const codes = { missing: "KEY_NOT_FOUND", exists: "KEY_EXISTS" } as const
  const records = {
    signing: new Records<Key>(path.join(folder, "signing"), keySchema, codes),
    device: new Records<Key>(path.join(folder, "device"), keySchema, codes),
  }
  const secretPath = (key: Pick<Key, "name" | "purpose" | "algorithm">) =>
    path.join(folder, key.purpose, `${key.name}${key.algorithm === "P-256" ? ".pem" : ".txt"}`)

  const readSecret = async (key: Key): Promise<Uint8Array> => {
    const bytes = await readIfThere(secretPath(key))
    if (bytes === null) throw new AppError("KEY_UNREADABLE", `the private part of key ${key.name} is missing`)
    return bytes
  }

  return {
    async create(name, purpose, algorithm) {
      checkName(name)
      const made = algorithm === "P-256" ? makeP256(purpose) : makeX25519(random)
      const key: Key = {
        name,
        purpose,
        algorithm,
        provider: "software",
        assurance: "software",
        ...made.public,
        createdAt: now().toISOString(),
      }
      await records[purpose].add(name, key)
      try {
        await writePrivate(
          secretPath(key),
          made.secret,
          new AppError("KEY_EXISTS", `key ${name} exists already`),
        )
      } catch (error) {
        await records[purpose].remove(name)
        throw error
      }
      return key
    },
    async list() {
      return [...(await records.signing.list()), ...(await records.device.list())]
    },
    async find(name, purpose) {
      if (purpose !== undefined) return records[purpose].find(name)
      return (await records.signing.has(name)) ? records.signing.find(name) : records.device.find(name)
    },
    async remove(key) {
      await records[key.purpose].remove(key.name)
      await removeFile(secretPath(key))
    },
    async sign(key, message) {
      if (key.purpose !== "signing")
        throw new AppError("KEY_PURPOSE", `key ${key.name} is a device key and cannot sign`)
      const pem = await readSecret(key)
      try {
        return sign("sha256", message, parsePrivateKey(key, pem))
      } finally {
        wipe(pem)
      }
    },
    async identity(key) {
      if (key.purpose !== "device")
        throw new AppError("KEY_PURPOSE", `key ${key.name} is a signing key and cannot decrypt`)
      const secret = await readSecret(key)
      try {
        return key.algorithm === "P-256" ? identityOfPem(key, secret) : identityOfText(key, secret)
      } finally {
        wipe(secret)
      }
    },
  }
}

interface MadeKey {
  readonly secret: string
  readonly public: Pick<Key, "publicKeyPem" | "recipient" | "fingerprint">
}

function makeP256(purpose: Key["purpose"]): MadeKey {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  const publicKeyPem = publicKey.export({ type: "spki", format: "pem" }).toString()
  return {
    secret: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    public: {
      publicKeyPem,
      recipient: purpose === "device" ? p256TagRecipient(pointOf(publicKey)).text : null,
      fingerprint: pemFingerprint(publicKeyPem),
    },
  }
}

function makeX25519(random: Random): MadeKey {
  const { secretKey, recipient } = generateX25519(random)
  try {
    return {
      secret: `# public key: ${recipient}\n${x25519IdentityText(secretKey)}\n`,
      public: {
        publicKeyPem: null,
        recipient,
        fingerprint: toHex(createHash("sha256").update(recipient).digest()),
      },
    }
  } finally {
    wipe(secretKey)
  }
}

/** SHA-256 of the SPKI's PEM text: the hint by which OpenSSF Model Signing names a key (STANDARDS: model signature). */
function pemFingerprint(pem: string): string {
  return toHex(createHash("sha256").update(toUtf8(pem)).digest())
}

function identityOfPem(key: Key, pem: Uint8Array): Identity {
  const jwk = parsePrivateKey(key, pem).export({ format: "jwk" })
  return p256TagIdentity(softwareP256(Buffer.from(jwk.d ?? "", "base64url")))
}

function identityOfText(key: Key, text: Uint8Array): Identity {
  const line = Buffer.from(text)
    .toString("latin1")
    .split(/\r?\n/)
    .find((candidate) => candidate !== "" && !candidate.startsWith("#"))
  if (line === undefined) throw new AppError("KEY_UNREADABLE", `the private part of key ${key.name} is empty`)
  return parseIdentity(line)
}

function parsePrivateKey(key: Key, pem: Uint8Array): KeyObject {
  try {
    return createPrivateKey(Buffer.from(pem))
  } catch {
    // The text of the failure could quote the key.
    throw new AppError("KEY_UNREADABLE", `the private part of key ${key.name} is damaged`)
  }
}

/** The uncompressed point of a P-256 public key. */
function pointOf(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: "jwk" })
  return Buffer.concat([Buffer.of(4), Buffer.from(x ?? "", "base64url"), Buffer.from(y ?? "", "base64url")])
}
