/**
 * The payload part of the native addon: the age chunk cipher over reused contexts, and batches (read and seal or open;
 * write; hash) on threads of its own. `sealwright.node` is built by packaging/build-native.ts. See docs/ARCHITECTURE.md for the figures.
 */
import { addon } from "./addon.ts"

/** A SHA-256 in progress in native memory. One batch at a time may feed it. */
export type NativeDigest = { readonly __nativeDigest: unique symbol }

/** `length` bytes at `offset` of open file `file` stand at `at` of the plain buffer. */
export interface Piece {
  readonly file: number
  readonly offset: number
  readonly at: number
  readonly length: number
}

/** How a batch ended. `errno` is positive, as in the C library; `chunk` counts from the start of the file. */
export type BatchOutcome =
  /** `written`: bytes of the result that are in the output already, from its start. */
  | { readonly kind: "done"; readonly written: number }
  | { readonly kind: "read-failed"; readonly errno: number }
  | { readonly kind: "short-read" }
  | { readonly kind: "write-failed"; readonly errno: number }
  | { readonly kind: "forged"; readonly chunk: number }
  | { readonly kind: "cipher-failed" }

export interface SealBatch {
  /** Payload key, 32 bytes; copied, and the copy wiped. */
  readonly key: Uint8Array
  readonly firstChunk: number
  readonly endsFile: boolean
  /** Receives `pieces`; bytes no piece covers are sealed as they stand. */
  readonly plain: Uint8Array
  readonly pieces: readonly Piece[]
  readonly sealed: Uint8Array
  readonly output: BatchOutput | null
}

export interface OpenBatch {
  readonly key: Uint8Array
  readonly firstChunk: number
  readonly endsFile: boolean
  readonly sealed: Uint8Array
  readonly input: { readonly file: number; readonly offset: number }
  readonly plain: Uint8Array
  readonly output: BatchOutput | null
}

/** Where all of a batch's result belongs. What can be written without waiting for another writer is; the rest is the caller's. */
export interface BatchOutput {
  readonly file: number
  readonly offset: number
}

/** Bytes for one digest. */
export interface DigestFeed {
  readonly digest: NativeDigest
  readonly bytes: Uint8Array
}

interface PayloadAddon {
  readonly sealChunks: (
    key: Uint8Array,
    firstChunk: number,
    endsFile: boolean,
    plain: Uint8Array,
    sealed: Uint8Array,
  ) => number
  readonly openChunks: (
    key: Uint8Array,
    firstChunk: number,
    endsFile: boolean,
    sealed: Uint8Array,
    plain: Uint8Array,
  ) => number
  readonly sealBatch: (
    key: Uint8Array,
    firstChunk: number,
    endsFile: boolean,
    plain: Uint8Array,
    pieces: Float64Array,
    sealed: Uint8Array,
    output: number,
    outputOffset: number,
  ) => Promise<RawOutcome>
  readonly openBatch: (
    key: Uint8Array,
    firstChunk: number,
    endsFile: boolean,
    sealed: Uint8Array,
    file: number,
    offset: number,
    plain: Uint8Array,
    output: number,
    outputOffset: number,
  ) => Promise<RawOutcome>
  readonly moveBatch: (isWrite: boolean, plain: Uint8Array, pieces: Float64Array) => Promise<RawOutcome>
  readonly digestBatch: (feeds: readonly (NativeDigest | Uint8Array)[]) => Promise<RawOutcome>
  readonly pageOffset: (bytes: Uint8Array) => number
  readonly createDigest: () => NativeDigest
  readonly finishDigest: (digest: NativeDigest, out: Uint8Array) => void
}

const PAGE = 4096

type RawOutcome = readonly [status: number, detail: number]

/** The native payload functions, or `null` when the addon is not built for this platform. */
export function nativePayload(): NativePayload | null {
  const loaded = addon()
  // The addon is compiled from native/src/payload.cc, whose exports are exactly these.
  return loaded.kind === "loaded" ? wrap(loaded.exports as PayloadAddon) : null
}

export type NativePayload = ReturnType<typeof wrap>

function wrap(raw: PayloadAddon) {
  return {
    /** See ChunkCipher in main/core/age/stream.ts: same contract, same bytes. */
    cipher: {
      name: "native",
      seal: raw.sealChunks,
      open: raw.openChunks,
    },
    seal: async (batch: SealBatch): Promise<BatchOutcome> =>
      toOutcome(
        await raw.sealBatch(
          batch.key,
          batch.firstChunk,
          batch.endsFile,
          batch.plain,
          flatten(batch.pieces),
          batch.sealed,
          batch.output?.file ?? -1,
          batch.output?.offset ?? 0,
        ),
      ),
    open: async (batch: OpenBatch): Promise<BatchOutcome> =>
      toOutcome(
        await raw.openBatch(
          batch.key,
          batch.firstChunk,
          batch.endsFile,
          batch.sealed,
          batch.input.file,
          batch.input.offset,
          batch.plain,
          batch.output?.file ?? -1,
          batch.output?.offset ?? 0,
        ),
      ),
    read: async (plain: Uint8Array, pieces: readonly Piece[]): Promise<BatchOutcome> =>
      toOutcome(await raw.moveBatch(false, plain, flatten(pieces))),
    write: async (plain: Uint8Array, pieces: readonly Piece[]): Promise<BatchOutcome> =>
      toOutcome(await raw.moveBatch(true, plain, flatten(pieces))),
    /** Feeds several digests, none twice; two streams together take hardly longer than one. */
    digest: async (feeds: readonly DigestFeed[]): Promise<BatchOutcome> =>
      toOutcome(await raw.digestBatch(feeds.flatMap(({ digest, bytes }) => [digest, bytes]))),
    /**
     * Zeros that start on a page. The kernel copies between them and a file with `rep movsb`, which AMD's cores run 3.5 times
     * slower when the destination lies 1 to 31 bytes behind the source, counted within their pages. Large buffers of malloc
     * start 16 bytes behind a page: there, reading a file from its start is as slow as it gets.
     */
    allocate: (size: number): Uint8Array => {
      if (size < PAGE) return new Uint8Array(size)
      const room = new Uint8Array(size + PAGE)
      const skip = (PAGE - raw.pageOffset(room)) % PAGE
      return room.subarray(skip, skip + size)
    },
    /** How many bytes behind the start of a page of 4 KiB the memory of `bytes` starts. */
    pageOffset: (bytes: Uint8Array): number => raw.pageOffset(bytes),
    createDigest: (): NativeDigest => raw.createDigest(),
    /** The digest, 32 bytes; the handle starts anew. */
    finishDigest: (digest: NativeDigest): Uint8Array => {
      const out = new Uint8Array(32)
      raw.finishDigest(digest, out)
      return out
    },
  }
}

function flatten(pieces: readonly Piece[]): Float64Array {
  const flat = new Float64Array(pieces.length * 4)
  pieces.forEach(({ file, offset, at, length }, index) => flat.set([file, offset, at, length], index * 4))
  return flat
}

/** Kept in step with `enum class Status` in native/src/payload.cc. */
function toOutcome([status, detail]: RawOutcome): BatchOutcome {
  switch (status) {
    case 0:
      return { kind: "done", written: detail }
    case 1:
      return { kind: "read-failed", errno: detail }
    case 2:
      return { kind: "short-read" }
    case 3:
      return { kind: "write-failed", errno: detail }
    case 4:
      return { kind: "forged", chunk: detail }
    default:
      return { kind: "cipher-failed" }
  }
}
