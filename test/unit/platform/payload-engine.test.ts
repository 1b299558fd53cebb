/** The payload engine over both of its backends: same bytes, any size, any layout, in order, cancellable. */
import { createHash, randomBytes } from "node:crypto"
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { afterAll, describe, expect, onTestFinished, test } from "vitest"
import { decryptBytes, openHeader, startFile } from "../../../main/core/age/file.ts"
import { parseIdentity, parseRecipient } from "../../../main/core/age/recipients.ts"
import { CHUNK_BYTES } from "../../../main/core/age/stream.ts"
import { generateX25519, x25519IdentityText } from "../../../main/core/age/x25519.ts"
import { concat } from "../../../main/core/bytes/bytes.ts"
import { sourceOf } from "../../../main/core/bytes/source.ts"
import type { BatchBackend } from "../../../main/platform/payload/backend.ts"
import { nativeBackend } from "../../../main/platform/payload/native-backend.ts"
import { payloadEngine } from "../../../main/platform/payload/pipeline.ts"
import { BATCH_BYTES } from "../../../main/platform/payload/ring.ts"
import { workerBackend } from "../../../main/platform/payload/worker-backend.ts"
import type { EncryptJob, JobControl, PlainPart } from "../../../main/services/ports.ts"
import { nativePayload } from "../../../native/lib/payload.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const native = nativePayload()
if (native === null) throw new Error("the addon is built before the tests run")
const BACKENDS: readonly BatchBackend[] = [nativeBackend(native), workerBackend(2)]
afterAll(async () => {
  for (const backend of BACKENDS) await backend.close()
})
const random = (size: number) => new Uint8Array(randomBytes(size))
const { secretKey, recipient } = generateX25519(random)
const identities = [parseIdentity(x25519IdentityText(secretKey))]
const SIZES = [
  0,
  1,
  CHUNK_BYTES - 1,
  CHUNK_BYTES,
  CHUNK_BYTES + 1,
  BATCH_BYTES,
  BATCH_BYTES + 1,
  5 * BATCH_BYTES + 12_345,
]

function control(signal = new AbortController().signal): JobControl {
  return { signal, progress: () => {} }
}

function file(name: string, flags: "r" | "w+"): number {
  const descriptor = openSync(name, flags)
  onTestFinished(() => closeSync(descriptor))
  return descriptor
}

describe.each(BACKENDS)("the payload engine over $name", (backend) => {
  const engine = payloadEngine(backend)

  /** Encrypts parts to a file and returns it. */
  async function encrypt(parts: readonly PlainPart[], more: Partial<EncryptJob> = {}) {
    const output = path.join(temporaryFolder(), "payload.age")
    const { prefix, key } = startFile([parseRecipient(recipient)], random)
    const job = { prefix, key, parts, output: { file: file(output, "w+"), offset: 0 }, digest: true, ...more }
    const result = await engine.encrypt(job, control())
    return { output, result, key, prefix }
  }

  test.each(SIZES)(
    "writes %i bytes as an age file with the digests of what went in and out",
    async (size) => {
      const input = path.join(temporaryFolder(), "model")
      const plain = random(size)
      writeFileSync(input, plain)
      const parts: readonly PlainPart[] = [
        { kind: "bytes", bytes: Uint8Array.of(1, 2, 3) },
        { kind: "file", file: file(input, "r"), offset: 0, length: size, digest: true },
      ]
      const { output, result } = await encrypt(parts, { tail: async () => Uint8Array.of(9) })
      const written = readFileSync(output)
      expect(result.bytes).toBe(written.length)
      expect(Buffer.from(result.digest ?? []).equals(sha256(written))).toBe(true)
      expect(Buffer.from(result.partDigests[0] ?? []).equals(sha256(plain))).toBe(true)
      const opened = await decryptBytes(written, identities)
      expect(Buffer.compare(opened, concat(Uint8Array.of(1, 2, 3), plain, Uint8Array.of(9)))).toBe(0)
    },
  )

  test("hands plaintext to a transform once and in order, both ways", async () => {
    const plain = random(7 * BATCH_BYTES + 99)
    const seen: number[] = []
    const invert = (offset: number, bytes: Uint8Array) => {
      seen.push(offset)
      for (let at = 0; at < bytes.length; at += 1) bytes[at] = ~(bytes[at] ?? 0)
    }
    const { output, key, prefix, result } = await encrypt([{ kind: "bytes", bytes: plain }], {
      transform: invert,
    })
    expect(seen).toEqual(Array.from({ length: 8 }, (_, index) => index * BATCH_BYTES))
    const out = path.join(temporaryFolder(), "plain")
    seen.length = 0
    const target = { file: file(out, "w+"), offset: 0 }
    await engine.decrypt(
      {
        file: file(output, "r"),
        offset: 0,
        chunksOffset: prefix.length,
        chunksBytes: result.bytes - prefix.length,
        key,
        parts: [{ offset: 0, length: plain.length, target, digest: true }],
        digest: false,
        transform: invert,
      },
      control(),
    )
    expect(seen).toEqual(Array.from({ length: 8 }, (_, index) => index * BATCH_BYTES))
    expect(Buffer.compare(readFileSync(out), plain)).toBe(0)
  })

  test("reads any stretch after the last chunk was verified, and nothing of a payload cut at a chunk", async () => {
    const plain = random(BATCH_BYTES + CHUNK_BYTES + 5)
    const { output, key, prefix, result } = await encrypt([{ kind: "bytes", bytes: plain }])
    const payload = { file: file(output, "r"), chunksOffset: prefix.length, key }
    const reader = await engine.reader({ ...payload, chunksBytes: result.bytes - prefix.length })
    expect(reader.size).toBe(plain.length)
    for (const [from, length] of [
      [0, 1],
      [CHUNK_BYTES - 1, 2],
      [plain.length - 3, 3],
      [100, 3 * CHUNK_BYTES],
    ] as const)
      expect(Buffer.compare(await reader.read(from, length), plain.subarray(from, from + length))).toBe(0)
    await expect(reader.read(plain.length, 1)).rejects.toBeInstanceOf(RangeError)
    reader.close()
    const cut = engine.reader({ ...payload, chunksBytes: 4 * (CHUNK_BYTES + 16) })
    await expect(cut).toFailWithCode("AGE_PAYLOAD_FORGED")
  })

  test("refuses an altered chunk and wipes what it held", async () => {
    const { output } = await encrypt([{ kind: "bytes", bytes: random(3 * BATCH_BYTES) }])
    const bytes = readFileSync(output)
    bytes[2 * BATCH_BYTES] = (bytes[2 * BATCH_BYTES] ?? 0) ^ 1
    writeFileSync(output, bytes)
    const opened = await openHeader(sourceOf(bytes), identities)
    const decrypting = engine.decrypt(
      { ...opened, file: file(output, "r"), offset: 0, parts: [], digest: true },
      control(),
    )
    await expect(decrypting).toFailWithCode("AGE_PAYLOAD_FORGED")
  })

  test("stops between batches when it is cancelled", async () => {
    const abort = new AbortController()
    const output = path.join(temporaryFolder(), "payload.age")
    const { prefix, key } = startFile([parseRecipient(recipient)], random)
    const parts: readonly PlainPart[] = [{ kind: "bytes", bytes: random(16 * BATCH_BYTES) }]
    let calls = 0
    const job: EncryptJob = {
      prefix,
      key,
      parts,
      output: { file: file(output, "w+"), offset: 0 },
      digest: true,
      transform: () => {
        calls += 1
        if (calls === 3) abort.abort()
      },
    }
    await expect(engine.encrypt(job, control(abort.signal))).rejects.toMatchObject({ name: "AbortError" })
    expect(calls).toBeLessThan(20)
  })
})

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest()
}
