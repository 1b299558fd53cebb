/** Getting a model's files into memory: decrypted and checked, or as they are. Nothing here writes anywhere. */
import { createHash } from "node:crypto"
import { readSync } from "node:fs"
import { AppError } from "../contract/errors.ts"
import type { RuntimeRequest } from "../contract/runtime-protocol.ts"
import {
  CHUNK_BYTES,
  forged,
  nodeChunkCipher,
  openChunks,
  plainSize,
  SEALED_CHUNK_BYTES,
} from "../core/age/stream.ts"
import { checkModelFiles } from "../core/attest/model-files.ts"
import { readModelSignature } from "../core/attest/model-signing.ts"
import { toRootDigest } from "../core/attest/model-resource.ts"
import { parseTrustedKeys } from "../core/attest/trust.ts"
import { wipe } from "../core/bytes/bytes.ts"
import { sourceOf } from "../core/bytes/source.ts"
import { readPayloadArchive } from "../core/oci/payload-archive.ts"
import { readOverlay } from "../core/watermark/overlay.ts"
import { applyOverlay } from "../core/watermark/overlay-apply.ts"
import { nativePayload, type NativePayload } from "../../native/lib/payload.ts"

/** A file of the model, in memory. The first is the model, the rest its external data. */
export interface PlainFile {
  readonly name: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

type LoadSealed = Extract<RuntimeRequest, { readonly kind: "load-sealed" }>
type LoadPlain = Extract<RuntimeRequest, { readonly kind: "load-plain" }>

export interface LoadedFiles {
  readonly files: readonly PlainFile[]
  /** What the files are views of: wipe it when they have served. */
  readonly memory: Uint8Array<ArrayBuffer>
  readonly loadMs: { readonly decrypt: number; readonly verify: number }
}

const KEY_BYTES = 32

/**
 * Decrypts the payload into one piece of memory and hands out its files as views, once a trusted key has signed exactly
 * them and their root is the one the grant names (docs/FORMAT.md 8). Memory of a payload that fails is wiped.
 */
export async function loadSealed(request: LoadSealed, body: Uint8Array): Promise<LoadedFiles> {
  const signatureEnd = KEY_BYTES + request.signatureBytes
  if (body.length !== signatureEnd + request.overlayBytes)
    throw new AppError("INTERNAL", "the body of the request does not have the length it announces")
  const memory = new Uint8Array(plainSize(request.chunksBytes))
  try {
    const startedAt = performance.now()
    await decrypt(request, body.subarray(0, KEY_BYTES), memory)
    const decryptedAt = performance.now()
    const granted = {
      signature: body.subarray(KEY_BYTES, signatureEnd),
      overlay: body.subarray(signatureEnd),
    }
    const files = await checkedFiles(request, memory, granted)
    return {
      files,
      memory,
      loadMs: { decrypt: decryptedAt - startedAt, verify: performance.now() - decryptedAt },
    }
  } catch (error) {
    wipe(memory)
    throw error
  }
}

export async function loadPlain(files: LoadPlain["files"]): Promise<readonly PlainFile[]> {
  return files.map(({ name, file, bytes }) => {
    const memory = new Uint8Array(bytes)
    readInto(file, memory, 0)
    return { name, bytes: memory }
  })
}

async function checkedFiles(
  request: LoadSealed,
  memory: Uint8Array<ArrayBuffer>,
  granted: { readonly signature: Uint8Array; readonly overlay: Uint8Array },
): Promise<readonly PlainFile[]> {
  const { model, external, signature } = await readPayloadArchive(sourceOf(memory))
  const view = ({ offset, size }: { readonly offset: number; readonly size: number }) =>
    memory.subarray(offset, offset + size)
  // The plaintext becomes what this device was granted before anything of it is judged or used.
  if (granted.overlay.length > 0) applyOverlay(readOverlay(granted.overlay), memory, [model, ...external])
  const bundle = signature === null ? granted.signature : view(signature)
  if (bundle.length === 0) throw new AppError("SIGNATURE_MISSING", "the payload holds no model signature")
  const trust = parseTrustedKeys(request.trustedPems.map((pem) => ({ label: "trusted", pem })))
  const { manifest } = readModelSignature(bundle, trust, new Date())
  if (manifest.serialization.method !== "files" || manifest.serialization.ignorePaths.length > 0) {
    throw new AppError("SIGNATURE_MISMATCH", "the model signature leaves files out or lists parts of files")
  }
  if (toRootDigest(manifest.resources) !== request.modelRoot) {
    throw new AppError("SIGNATURE_MISMATCH", "the model in the payload is not the one the grant is for")
  }
  const files = [model, ...external].map((entry) => ({ name: entry.name, bytes: view(entry) }))
  const byName = new Map(files.map(({ name, bytes }) => [name, bytes]))
  const present = files.map(({ name, bytes }) => ({ name, sizeBytes: bytes.length }))
  await checkModelFiles(manifest, present, async (name) => sha256(byName.get(name) ?? new Uint8Array(0)))
  return files
}

/** OpenSSL takes a length as an int, so node:crypto refuses 2 GiB and more in one piece. */
const HASHED_AT_ONCE = 1 << 30

function sha256(bytes: Uint8Array): Uint8Array {
  const hash = createHash("sha256")
  for (let at = 0; at < bytes.length; at += HASHED_AT_ONCE)
    hash.update(bytes.subarray(at, at + HASHED_AT_ONCE))
  return hash.digest()
}

/** Chunks a batch, and batches in flight on native threads. */
const BATCH_CHUNKS = 16
const IN_FLIGHT = 4

async function decrypt(request: LoadSealed, key: Uint8Array, memory: Uint8Array): Promise<void> {
  const native = nativePayload()
  const batchBytes = BATCH_CHUNKS * SEALED_CHUNK_BYTES
  const buffers = Array.from({ length: IN_FLIGHT }, () => new Uint8Array(batchBytes))
  let next = 0
  const work = async (buffer: Uint8Array) => {
    for (;;) {
      const from = next
      if (from >= request.chunksBytes) return
      next += batchBytes
      const sealed = buffer.subarray(0, Math.min(batchBytes, request.chunksBytes - from))
      const firstChunk = from / SEALED_CHUNK_BYTES
      const at = firstChunk * CHUNK_BYTES
      const plain = memory.subarray(
        at,
        at + sealed.length - Math.ceil(sealed.length / SEALED_CHUNK_BYTES) * 16,
      )
      const endsFile = from + sealed.length === request.chunksBytes
      await openBatch(native, request, {
        key,
        firstChunk,
        endsFile,
        sealed,
        offset: request.chunksOffset + from,
        plain,
      })
    }
  }
  const results = await Promise.allSettled(buffers.map(async (buffer) => work(buffer)))
  const failed = results.find((result) => result.status === "rejected")
  if (failed !== undefined) throw failed.reason
}

interface Batch {
  readonly key: Uint8Array
  readonly firstChunk: number
  readonly endsFile: boolean
  readonly sealed: Uint8Array
  readonly offset: number
  readonly plain: Uint8Array
}

async function openBatch(native: NativePayload | null, request: LoadSealed, batch: Batch): Promise<void> {
  const { key, firstChunk, endsFile, sealed, offset, plain } = batch
  if (native === null) {
    readInto(request.file, sealed, offset)
    openChunks(nodeChunkCipher, key, firstChunk, endsFile, sealed, plain)
    return
  }
  const input = { file: request.file, offset }
  const outcome = await native.open({ key, firstChunk, endsFile, sealed, input, plain, output: null })
  if (outcome.kind === "forged") throw forged(outcome.chunk)
  if (outcome.kind !== "done")
    throw new AppError("FILE_UNREADABLE", `reading the package failed (${outcome.kind})`)
}

function readInto(file: number, memory: Uint8Array, offset: number): void {
  for (let done = 0; done < memory.length;) {
    const got = readSync(file, memory, done, Math.min(memory.length - done, 1 << 30), offset + done)
    if (got === 0) throw new AppError("FILE_CHANGED", "a file became shorter while it was read")
    done += got
  }
}
