/** Who does the heavy work of a payload batch: native code on its own threads, or JavaScript workers. Same bytes from both. */
import { AppError } from "../../contract/errors.ts"
import type { ChunkCipher } from "../../core/age/stream.ts"
import { forged } from "../../core/age/stream.ts"
import type { BatchOutcome, OpenBatch, Piece, SealBatch } from "../../../native/lib/payload.ts"

/** The next bytes of one stream of a digest set. */
export interface DigestFeed {
  readonly stream: number
  readonly bytes: Uint8Array
}

/** Several SHA-256 side by side, off the main thread. */
export interface DigestSet {
  /** Hashes every stream's next bytes; no stream twice. The next call waits for this one. */
  update(feeds: readonly DigestFeed[]): Promise<void>
  /** The stream's digest, 32 bytes. It takes no more bytes. */
  finish(stream: number): Promise<Uint8Array>
}

export interface BatchBackend {
  readonly name: string
  /** For short runs on this thread. */
  readonly cipher: ChunkCipher
  /** A buffer the backend's threads can reach. */
  allocate(bytes: number): Uint8Array
  /** Reads, seals, and writes what it can without waiting for another writer. */
  seal(batch: SealBatch): Promise<BatchOutcome>
  /** Reads, opens, and writes likewise. */
  open(batch: OpenBatch): Promise<BatchOutcome>
  read(plain: Uint8Array, pieces: readonly Piece[]): Promise<BatchOutcome>
  write(plain: Uint8Array, pieces: readonly Piece[]): Promise<BatchOutcome>
  createDigests(streams: number): DigestSet
  close(): Promise<void>
}

/** errno values that mean the volume is full: ENOSPC, EFBIG, EDQUOT. */
const FULL = new Set([28, 27, 122])

/** Bytes of the result that are written already. Throws the error a batch ended with, if it did. */
export function checkOutcome(outcome: BatchOutcome): number {
  switch (outcome.kind) {
    case "done":
      return outcome.written
    case "read-failed":
      throw new AppError("FILE_UNREADABLE", `reading failed (errno ${outcome.errno})`)
    case "short-read":
      throw new AppError("FILE_CHANGED", "a file became shorter while it was read")
    case "write-failed":
      throw FULL.has(outcome.errno)
        ? new AppError("NO_SPACE", "the volume is full")
        : new AppError("OUTPUT_UNWRITABLE", `writing failed (errno ${outcome.errno})`)
    case "forged":
      throw forged(outcome.chunk)
    case "cipher-failed":
      throw new AppError("INTERNAL", "the cipher failed")
  }
}
