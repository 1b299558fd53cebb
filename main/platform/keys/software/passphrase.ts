/** Key files under a passphrase (docs/FORMAT.md 12.2): Argon2id makes the key, ChaCha20-Poly1305 seals the bytes. */
import { createCipheriv } from "node:crypto"
import sodium from "sodium-native"
import { z } from "zod"
import { AppError } from "../../../contract/errors.ts"
import { openAead } from "../../../core/age/hpke.ts"
import type { Random } from "../../../core/age/recipient.ts"
import { TAG_BYTES } from "../../../core/age/stream.ts"
import { concat, parseBase64, toBase64, toUtf8, wipe } from "../../../core/bytes/bytes.ts"
import { parseJson } from "../../../core/bytes/json.ts"

/** What one try of a passphrase costs. */
export interface PassphraseCost {
  readonly operations: number
  readonly memoryBytes: number
}

/** For new files: libsodium's "moderate", about half a second and 256 MiB. */
export const MODERATE: PassphraseCost = { operations: 3, memoryBytes: 256 << 20 }

/** Whoever wrote the file chooses the cost; this is how far we follow. */
const MAX_OPERATIONS = 16
const MAX_MEMORY_BYTES = 1 << 30

const SALT_BYTES = 16
const NO_NONCE = new Uint8Array(12)

const sealedSchema = z.strictObject({
  version: z.literal(1),
  kdf: z.literal("argon2id13"),
  operations: z.int().min(1).max(MAX_OPERATIONS),
  memoryBytes: z
    .int()
    .min(8 << 20)
    .max(MAX_MEMORY_BYTES),
  salt: z.string().length(24),
  sealed: z.string().max(1 << 16),
})

/** The file's text. `label` ties it to its key: a file cannot be taken for another key's. */
export async function sealSecret(
  secret: Uint8Array,
  passphrase: Uint8Array,
  label: string,
  random: Random,
  cost: PassphraseCost,
): Promise<string> {
  const salt = random(SALT_BYTES)
  const key = await stretch(passphrase, salt, cost)
  try {
    // The salt is fresh, so the key is used once and the nonce may be zero.
    const cipher = createCipheriv("chacha20-poly1305", key, NO_NONCE, { authTagLength: TAG_BYTES })
    cipher.setAAD(context(label), { plaintextLength: secret.length })
    const sealed = concat(cipher.update(secret), cipher.final(), cipher.getAuthTag())
    const file: z.infer<typeof sealedSchema> = {
      version: 1,
      kdf: "argon2id13",
      ...cost,
      salt: toBase64(salt),
      sealed: toBase64(sealed),
    }
    return `${JSON.stringify(file, null, 2)}\n`
  } finally {
    wipe(key)
  }
}

/** A key file that is of the right form and within the limits: nothing was spent on it yet. */
export interface SealedSecret extends PassphraseCost {
  readonly salt: Uint8Array
  readonly sealed: Uint8Array
}

/** Throws KEY_UNREADABLE. */
export function parseSealed(file: Uint8Array): SealedSecret {
  const { data } = sealedSchema.safeParse(parseJson(file, "the key file"))
  const salt = parseBase64(data?.salt ?? "")
  const sealed = parseBase64(data?.sealed ?? "")
  if (data === undefined || salt?.length !== SALT_BYTES || sealed === null)
    throw new AppError("KEY_UNREADABLE", "the key file is not of a form this version reads")
  return { operations: data.operations, memoryBytes: data.memoryBytes, salt, sealed }
}

/** The bytes; the caller wipes them. Throws PASSPHRASE_WRONG. */
export async function openSealed(
  { salt, sealed, ...cost }: SealedSecret,
  passphrase: Uint8Array,
  label: string,
): Promise<Uint8Array> {
  const key = await stretch(passphrase, salt, cost)
  try {
    const secret = openAead(key, NO_NONCE, sealed, context(label))
    if (secret === null) throw new AppError("PASSPHRASE_WRONG", "the passphrase does not open the key")
    return secret
  } finally {
    wipe(key)
  }
}

function context(label: string): Uint8Array {
  return toUtf8(`sealwright.key.v1\n${label}`)
}

/** Argon2id (RFC 9106) with one lane, on libuv's threads; 32 bytes. */
async function stretch(
  passphrase: Uint8Array,
  salt: Uint8Array,
  { operations, memoryBytes }: PassphraseCost,
): Promise<Uint8Array> {
  const key = Buffer.alloc(32)
  await sodium.crypto_pwhash_async(
    key,
    Buffer.from(passphrase.buffer, passphrase.byteOffset, passphrase.byteLength),
    Buffer.from(salt),
    operations,
    memoryBytes,
    sodium.crypto_pwhash_ALG_ARGON2ID13,
  )
  return key
}
