/** A push-style age payload writer for streams whose length is not known (pipes, plugins). */
import { wipe } from "../bytes/bytes.ts"
import { CHUNK_BYTES, SEALED_CHUNK_BYTES, sealedSize, type ChunkCipher } from "./stream.ts"

/**
 * Seals bytes as they come, however they are split. Chunks leave when it is certain that another byte follows them,
 * since only the last chunk carries the end flag.
 */
export class PayloadWriter {
  readonly #key: Uint8Array
  readonly #cipher: ChunkCipher
  readonly #pending = new Uint8Array(CHUNK_BYTES)
  #pendingBytes = 0
  #nextChunk = 0

  /** `key`: the payload key, 32 bytes, owned by the caller. */
  constructor(key: Uint8Array, cipher: ChunkCipher) {
    this.#key = key
    this.#cipher = cipher
  }

  /** The chunks that became certain with these bytes; possibly none. */
  push(bytes: Uint8Array): Uint8Array {
    const certain = Math.ceil((this.#pendingBytes + bytes.length) / CHUNK_BYTES) - 1
    const out = new Uint8Array(Math.max(0, certain) * SEALED_CHUNK_BYTES)
    let to = 0
    for (let from = 0; from < bytes.length;) {
      if (this.#pendingBytes === CHUNK_BYTES) to += this.#flush(false, out.subarray(to))
      const part = bytes.subarray(from, from + CHUNK_BYTES - this.#pendingBytes)
      this.#pending.set(part, this.#pendingBytes)
      this.#pendingBytes += part.length
      from += part.length
    }
    return out
  }

  /** The last chunk. Wipes what is pending; the writer is done. */
  end(): Uint8Array {
    const out = new Uint8Array(sealedSize(this.#pendingBytes))
    this.#flush(true, out)
    wipe(this.#pending)
    return out
  }

  #flush(isLast: boolean, out: Uint8Array): number {
    const plain = this.#pending.subarray(0, this.#pendingBytes)
    const written = this.#cipher.seal(this.#key, this.#nextChunk, isLast, plain, out)
    this.#nextChunk += 1
    this.#pendingBytes = 0
    return written
  }
}
