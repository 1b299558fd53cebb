/**
 * The age payload (C2SP age.md, "Payload"): a 16-byte nonce, then ChaCha20-Poly1305 chunks of 65536 plaintext bytes. The
 * chunk nonce is an 11-byte big-endian counter and a flag that is 1 on the last chunk, so a cut file is not a shorter file.
 */
import { createCipheriv, createDecipheriv } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { wipe } from "../bytes/bytes.ts"

/** Plaintext bytes of a full chunk. */
export const CHUNK_BYTES = 65536
/** Authentication tag after each chunk, bytes. */
export const TAG_BYTES = 16
/** A full chunk as it stands in the file, bytes. */
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
/** The payload nonce in front of the first chunk, bytes. */
export const PAYLOAD_NONCE_BYTES = 16

/**
 * Seals and opens runs of chunks into buffers of the caller. Implementations give the same bytes; they differ in speed.
 * `firstChunk` counts from 0; `endsFile` says that the last chunk of the run is the last of the file, and only such a run
 * may hold a partial chunk. Buffers do not overlap.
 */
export interface ChunkCipher {
  readonly name: string
  /** Bytes written to `sealed`: the plaintext's length and one tag a chunk. An empty file is one empty chunk. */
  seal(key: Uint8Array, firstChunk: number, endsFile: boolean, plain: Uint8Array, sealed: Uint8Array): number
  /** Bytes written to `plain`, or -1 - i when chunk i of the run is not authentic; `plain` then holds nothing of it. */
  open(key: Uint8Array, firstChunk: number, endsFile: boolean, sealed: Uint8Array, plain: Uint8Array): number
}

/** Length of the chunks that hold `plainBytes`, without the payload nonce. */
export function sealedSize(plainBytes: number): number {
  return plainBytes + Math.max(1, Math.ceil(plainBytes / CHUNK_BYTES)) * TAG_BYTES
}

/** Plaintext length of `sealedBytes` of chunks (without the nonce). Throws AGE_TRUNCATED for a length no file can have. */
export function plainSize(sealedBytes: number): number {
  const chunks = Math.ceil(sealedBytes / SEALED_CHUNK_BYTES)
  const last = sealedBytes - (chunks - 1) * SEALED_CHUNK_BYTES
  // The last chunk is empty only if the whole file is.
  if (chunks < 1 || last < TAG_BYTES || (last === TAG_BYTES && chunks > 1)) {
    throw new AppError("AGE_TRUNCATED", `a payload cannot be ${sealedBytes} bytes long`)
  }
  return sealedBytes - chunks * TAG_BYTES
}

/** Opens a run of chunks or throws AGE_PAYLOAD_FORGED, naming the chunk. Returns the bytes written to `plain`. */
export function openChunks(
  cipher: ChunkCipher,
  key: Uint8Array,
  firstChunk: number,
  endsFile: boolean,
  sealed: Uint8Array,
  plain: Uint8Array,
): number {
  const written = cipher.open(key, firstChunk, endsFile, sealed, plain)
  if (written < 0) throw forged(firstChunk - written - 1)
  return written
}

export function forged(chunk: number): AppError {
  return new AppError("AGE_PAYLOAD_FORGED", `chunk ${chunk} of the payload is not authentic`)
}

/** The cipher over node:crypto: works wherever Node's OpenSSL has ChaCha20-Poly1305. */
export const nodeChunkCipher: ChunkCipher = {
  name: "node:crypto",
  seal(key, firstChunk, endsFile, plain, sealed) {
    let to = 0
    forEachChunk(plain.length, CHUNK_BYTES, endsFile, (index, from, size, isLast) => {
      const cipher = createCipheriv("chacha20-poly1305", key, chunkNonce(firstChunk + index, isLast), TAG)
      sealed.set(cipher.update(plain.subarray(from, from + size)), to)
      cipher.final()
      sealed.set(cipher.getAuthTag(), to + size)
      to += size + TAG_BYTES
    })
    return to
  },
  open(key, firstChunk, endsFile, sealed, plain) {
    let to = 0
    let failed = -1
    forEachChunk(sealed.length, SEALED_CHUNK_BYTES, endsFile, (index, from, size, isLast) => {
      if (failed >= 0) return
      const end = from + size - TAG_BYTES
      const decipher = createDecipheriv("chacha20-poly1305", key, chunkNonce(firstChunk + index, isLast), TAG)
      decipher.setAuthTag(sealed.subarray(end, from + size))
      const opened = decipher.update(sealed.subarray(from, end))
      try {
        decipher.final()
      } catch {
        // The only failure of final() is a tag that does not match.
        failed = index
        wipe(opened, plain.subarray(0, to))
        return
      }
      plain.set(opened, to)
      wipe(opened)
      to += size - TAG_BYTES
    })
    return failed < 0 ? to : -1 - failed
  },
}

const TAG = { authTagLength: TAG_BYTES } as const

/** The 12-byte nonce of a chunk. */
export function chunkNonce(chunk: number, isLast: boolean): Uint8Array {
  const nonce = new Uint8Array(12)
  // Counters stay below 2^53, so the top bytes of the eleven are zero.
  new DataView(nonce.buffer).setBigUint64(3, BigInt(chunk))
  nonce[11] = isLast ? 1 : 0
  return nonce
}

/** Walks a run chunk by chunk and checks that only the end of a file is a partial chunk. */
export function forEachChunk(
  bytes: number,
  stride: number,
  endsFile: boolean,
  visit: (index: number, from: number, size: number, isLast: boolean) => void,
): void {
  if (!endsFile && bytes % stride !== 0)
    throw new RangeError("only the end of the file may be a partial chunk")
  const count = endsFile ? Math.max(1, Math.ceil(bytes / stride)) : bytes / stride
  if (stride === SEALED_CHUNK_BYTES && bytes - (count - 1) * stride < TAG_BYTES) {
    throw new RangeError("a chunk is shorter than its tag")
  }
  for (let index = 0; index < count; index += 1) {
    const from = index * stride
    visit(index, from, Math.min(stride, bytes - from), endsFile && index === count - 1)
  }
}
