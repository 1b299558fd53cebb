/** The worker side of worker-backend.ts: one thread that seals, opens, moves and hashes what it is sent. */
import { createHash, type Hash } from "node:crypto"
import { readSync, writeSync } from "node:fs"
import { parentPort } from "node:worker_threads"
import type { ChunkCipher } from "../../core/age/stream.ts"
import type { BatchOutcome, OpenBatch, Piece, SealBatch } from "../../../native/lib/payload.ts"
import { portableCipher } from "./portable-cipher.ts"

export type WorkerRequest =
  | { readonly kind: "seal"; readonly batch: SealBatch }
  | { readonly kind: "open"; readonly batch: OpenBatch }
  | { readonly kind: "read" | "write"; readonly plain: Uint8Array; readonly pieces: readonly Piece[] }
  | { readonly kind: "update"; readonly digest: number; readonly bytes: Uint8Array }
  | { readonly kind: "finish"; readonly digest: number }

export type WorkerReply = BatchOutcome | { readonly kind: "digest"; readonly bytes: Uint8Array }

const cipher: ChunkCipher = portableCipher()
const digests = new Map<number, Hash>()

parentPort?.on("message", ({ id, request }: { readonly id: number; readonly request: WorkerRequest }) => {
  parentPort?.postMessage({ id, reply: answer(request) })
})

function answer(request: WorkerRequest): WorkerReply {
  switch (request.kind) {
    case "seal":
      return sealBatch(request.batch)
    case "open":
      return openBatch(request.batch)
    case "read":
      return readPieces(request.plain, request.pieces) ?? { kind: "done", written: 0 }
    case "write":
      return writePieces(request.plain, request.pieces) ?? { kind: "done", written: 0 }
    case "update":
      digestOf(request.digest).update(request.bytes)
      return { kind: "done", written: 0 }
    case "finish": {
      const bytes = Uint8Array.from(digestOf(request.digest).digest())
      digests.delete(request.digest)
      return { kind: "digest", bytes }
    }
  }
}

function digestOf(id: number): Hash {
  const digest = digests.get(id) ?? createHash("sha256")
  digests.set(id, digest)
  return digest
}

function sealBatch({ key, firstChunk, endsFile, plain, pieces, sealed }: SealBatch): BatchOutcome {
  const failure = readPieces(plain, pieces)
  if (failure !== null) return failure
  cipher.seal(key, firstChunk, endsFile, plain, sealed)
  return { kind: "done", written: 0 }
}

function openBatch({ key, firstChunk, endsFile, sealed, input, plain }: OpenBatch): BatchOutcome {
  const failure = readAll(input.file, sealed, input.offset)
  if (failure !== null) return failure
  const opened = cipher.open(key, firstChunk, endsFile, sealed, plain)
  return opened < 0 ? { kind: "forged", chunk: firstChunk - opened - 1 } : { kind: "done", written: 0 }
}

function readPieces(plain: Uint8Array, pieces: readonly Piece[]): BatchOutcome | null {
  for (const { file, offset, at, length } of pieces) {
    const failure = readAll(file, plain.subarray(at, at + length), offset)
    if (failure !== null) return failure
  }
  return null
}

function writePieces(plain: Uint8Array, pieces: readonly Piece[]): BatchOutcome | null {
  for (const { file, offset, at, length } of pieces) {
    const failure = writeAll(file, plain.subarray(at, at + length), offset)
    if (failure !== null) return failure
  }
  return null
}

function readAll(file: number, into: Uint8Array, offset: number): BatchOutcome | null {
  for (let done = 0; done < into.length;) {
    let got: number
    try {
      got = readSync(file, into, done, into.length - done, offset + done)
    } catch (error) {
      return { kind: "read-failed", errno: errnoOf(error) }
    }
    if (got === 0) return { kind: "short-read" }
    done += got
  }
  return null
}

function writeAll(file: number, bytes: Uint8Array, offset: number): BatchOutcome | null {
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(file, bytes, done, bytes.length - done, offset + done)
    } catch (error) {
      return { kind: "write-failed", errno: errnoOf(error) }
    }
  }
  return null
}

/** Node reports minus the C library's errno. */
function errnoOf(error: unknown): number {
  return error instanceof Error && "errno" in error && typeof error.errno === "number"
    ? Math.abs(error.errno)
    : 5
}
