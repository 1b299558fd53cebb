/**
 * A secret that only one TPM can read, and only while it holds one key: TPM2_MakeCredential in software (TPM 2.0 Library,
 * Part 1, 24 and annexes B.10.4, C.6.4). Activating it proves that an attestation key and an endorsement key share a TPM.
 */
import {
  constants,
  createCipheriv,
  createECDH,
  createHash,
  createHmac,
  publicEncrypt,
  randomBytes,
} from "node:crypto"
import { AppError } from "../../../contract/errors.ts"
import { concat, toUtf8, wipe } from "../../bytes/bytes.ts"
import type { PublicArea, TpmHash } from "./public-area.ts"
import { toSized } from "./structure-reader.ts"

export interface Credential {
  /** TPM2B_ID_OBJECT. */
  readonly blob: Uint8Array
  /** TPM2B_ENCRYPTED_SECRET. */
  readonly secret: Uint8Array
}

/**
 * Wraps `secret` (at most the size of the endorsement key's name hash, bytes) for the TPM of `endorsementKey`, to be
 * given out only beside the key called `name`. Throws ATTESTATION_REFUSED for a key that protects nothing.
 */
export function makeCredential(endorsementKey: PublicArea, name: Uint8Array, secret: Uint8Array): Credential {
  const { nameHash: hash, symmetricBits } = endorsementKey
  if (symmetricBits === null || secret.length > hashBytes(hash)) {
    throw new AppError("ATTESTATION_REFUSED", "the endorsement key cannot protect a credential")
  }
  const { seed, encrypted } = shareSeed(endorsementKey)
  const storageKey = deriveKey(hash, seed, "STORAGE", name, symmetricBits)
  const integrityKey = deriveKey(hash, seed, "INTEGRITY", new Uint8Array(0), hashBytes(hash) * 8)
  try {
    const cipher = createCipheriv(`aes-${symmetricBits}-cfb`, storageKey, Buffer.alloc(16))
    const identity = concat(cipher.update(toSized(secret)), cipher.final())
    const mac = createHmac(hash, integrityKey).update(identity).update(name).digest()
    return { blob: toSized(concat(toSized(mac), identity)), secret: toSized(encrypted) }
  } finally {
    wipe(seed, storageKey, integrityKey)
  }
}

/** A seed, and the seed as only the endorsement key can read it. */
function shareSeed(key: PublicArea): { readonly seed: Uint8Array; readonly encrypted: Uint8Array } {
  if (key.kind === "rsa") {
    const seed = randomBytes(hashBytes(key.nameHash))
    const encrypted = publicEncrypt(
      {
        key: key.publicKey,
        padding: constants.RSA_PKCS1_OAEP_PADDING,
        oaepHash: key.nameHash,
        oaepLabel: toUtf8("IDENTITY\0"),
      },
      seed,
    )
    return { seed, encrypted }
  }
  const ephemeral = createECDH(key.curve === "P-256" ? "prime256v1" : "secp384r1")
  const point = ephemeral.generateKeys()
  const size = key.x.length
  const x = point.subarray(1, 1 + size)
  const shared = ephemeral.computeSecret(Buffer.concat([Buffer.of(4), key.x, key.y]))
  try {
    const seed = deriveFromPoint(key.nameHash, shared, x, key.x)
    return { seed, encrypted: concat(toSized(x), toSized(point.subarray(1 + size))) }
  } finally {
    wipe(shared)
  }
}

/** KDFa (Part 1, 11.4.10.2): SP 800-108 in counter mode over HMAC; here never more than one block is needed twice. */
function deriveKey(
  hash: TpmHash,
  key: Uint8Array,
  label: string,
  context: Uint8Array,
  bits: number,
): Uint8Array {
  const out = new Uint8Array(bits / 8)
  for (let block = 0; block * hashBytes(hash) < out.length; block += 1) {
    const mac = createHmac(hash, key)
      .update(u32(block + 1))
      .update(`${label}\0`)
      .update(context)
      .update(u32(bits))
      .digest()
    const at = block * hashBytes(hash)
    out.set(mac.subarray(0, out.length - at), at)
    wipe(mac)
  }
  return out
}

/** KDFe (Part 1, 11.4.10.3) for one block: the label IDENTITY, party U the ephemeral x, party V the endorsement key's. */
function deriveFromPoint(hash: TpmHash, shared: Uint8Array, x: Uint8Array, theirX: Uint8Array): Uint8Array {
  return createHash(hash).update(u32(1)).update(shared).update("IDENTITY\0").update(x).update(theirX).digest()
}

function hashBytes(hash: TpmHash): number {
  return { sha256: 32, sha384: 48, sha512: 64 }[hash]
}

function u32(value: number): Uint8Array {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(value)
  return out
}
