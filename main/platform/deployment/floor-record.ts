/** The sealed record of a device's floors: authenticated and unreadable without the workspace's own key (FORMAT 10.7). */
import { createCipheriv, createDecipheriv } from "node:crypto"
import { readFile } from "node:fs/promises"
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { concat, toUtf8 } from "../../core/bytes/bytes.ts"
import { parseJson } from "../../core/bytes/json.ts"
import type { Random } from "../../core/age/recipient.ts"
import type { Documents } from "../../services/ports/documents.ts"
import { guardWorkspace, missingAsNull, replacePrivate } from "../workspace/private-files.ts"

const countSchema = z.int().nonnegative()
const recordSchema = z.discriminatedUnion("kept", [
  z.strictObject({ kept: z.literal("file"), deployment: countSchema, release: countSchema }),
  z.strictObject({
    kept: z.literal("tpm2"),
    tcti: z.string().nullable(),
    /** Value of the counter the others are counted from. */
    anchor: z.string().regex(/^\d{1,20}$/),
  }),
])
export type FloorRecord = z.infer<typeof recordSchema>

const CIPHER = "chacha20-poly1305"
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

export class FloorRecords {
  readonly #documents: Documents
  readonly #keyFile: string
  readonly #random: Random

  /** `keyFile`: where the key lies, outside of the documents; it is made when first needed. */
  constructor(documents: Documents, keyFile: string, random: Random) {
    this.#documents = documents
    this.#keyFile = keyFile
    this.#random = random
  }

  /** `null` for a device that was never prepared. Throws WORKSPACE_UNUSABLE for a record that was changed or is another device's. */
  async find(deviceId: string): Promise<FloorRecord | null> {
    const sealed = await this.#documents.read(nameOf(deviceId))
    if (sealed === null) return null
    const key = await this.#key()
    if (key === null) throw damaged()
    try {
      return recordSchema.parse(parseJson(open(key, deviceId, sealed), "the rollback floor"))
    } catch (error) {
      throw damaged(error)
    } finally {
      key.fill(0)
    }
  }

  async write(deviceId: string, record: FloorRecord): Promise<void> {
    const key = (await this.#key()) ?? (await this.#makeKey())
    try {
      await this.#documents.write(nameOf(deviceId), seal(key, deviceId, this.#random(NONCE_BYTES), record))
    } finally {
      key.fill(0)
    }
  }

  async #key(): Promise<Uint8Array | null> {
    const key = await guardWorkspace(async () => readFile(this.#keyFile).catch(missingAsNull))
    if (key !== null && key.length !== KEY_BYTES) throw damaged()
    return key
  }

  async #makeKey(): Promise<Uint8Array> {
    const key = this.#random(KEY_BYTES)
    await replacePrivate(this.#keyFile, key)
    return key
  }
}

function seal(key: Uint8Array, deviceId: string, nonce: Uint8Array, record: FloorRecord): Uint8Array {
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  const plain = toUtf8(JSON.stringify(record))
  cipher.setAAD(toUtf8(deviceId), { plaintextLength: plain.length })
  const sealed = concat(cipher.update(plain), cipher.final())
  return concat(nonce, sealed, cipher.getAuthTag())
}

function open(key: Uint8Array, deviceId: string, sealed: Uint8Array): Uint8Array {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw damaged()
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
  const body = sealed.subarray(NONCE_BYTES, -TAG_BYTES)
  decipher.setAAD(toUtf8(deviceId), { plaintextLength: body.length })
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  return concat(decipher.update(body), decipher.final())
}

function nameOf(deviceId: string): string {
  return `floors/${deviceId}`
}

function damaged(cause?: unknown): AppError {
  return new AppError("WORKSPACE_UNUSABLE", "the rollback floor of the device is damaged", { cause })
}
