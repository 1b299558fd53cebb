/** Random access to the plaintext of an age payload. */
import { wipe } from "../bytes/bytes.ts"
import type { ByteSource } from "../bytes/source.ts"
import { CHUNK_BYTES, openChunks, plainSize, SEALED_CHUNK_BYTES, type ChunkCipher } from "./stream.ts"

/**
 * Reads any byte range of a payload, opening only the chunks it touches. The last chunk is verified before the first
 * byte is given out (age.md: "to seek from the end, verify the last chunk first"), so the length is genuine; every chunk
 * is authenticated before its bytes are returned. `close` wipes the cached plaintext.
 */
export class PayloadReader implements ByteSource {
  readonly size: number
  readonly #chunks: ByteSource
  readonly #key: Uint8Array
  readonly #cipher: ChunkCipher
  readonly #cache = new Uint8Array(CHUNK_BYTES)
  #cachedChunk = -1
  #cachedBytes = 0

  /** `chunks`: the payload without its nonce. `key`: 32 bytes, owned by the caller. Throws AGE_TRUNCATED, AGE_PAYLOAD_FORGED. */
  static async open(chunks: ByteSource, key: Uint8Array, cipher: ChunkCipher): Promise<PayloadReader> {
    const reader = new PayloadReader(chunks, key, cipher)
    await reader.#load(reader.#lastChunk)
    return reader
  }

  private constructor(chunks: ByteSource, key: Uint8Array, cipher: ChunkCipher) {
    this.#chunks = chunks
    this.#key = key
    this.#cipher = cipher
    this.size = plainSize(chunks.size)
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset < 0 || length < 0 || offset + length > this.size) {
      throw new RangeError(`read of ${length} bytes at ${offset} in ${this.size}`)
    }
    const out = new Uint8Array(length)
    for (let done = 0; done < length;) {
      const at = offset + done
      const chunk = Math.floor(at / CHUNK_BYTES)
      await this.#load(chunk)
      const start = at - chunk * CHUNK_BYTES
      const part = this.#cache.subarray(start, Math.min(this.#cachedBytes, start + length - done))
      out.set(part, done)
      done += part.length
    }
    return out
  }

  close(): void {
    wipe(this.#cache)
    this.#cachedChunk = -1
    this.#cachedBytes = 0
  }

  get #lastChunk(): number {
    return Math.ceil(this.#chunks.size / SEALED_CHUNK_BYTES) - 1
  }

  async #load(chunk: number): Promise<void> {
    if (chunk === this.#cachedChunk) return
    this.close()
    const from = chunk * SEALED_CHUNK_BYTES
    const sealed = await this.#chunks.read(from, Math.min(SEALED_CHUNK_BYTES, this.#chunks.size - from))
    const isLast = chunk === this.#lastChunk
    this.#cachedBytes = openChunks(this.#cipher, this.#key, chunk, isLast, sealed, this.#cache)
    this.#cachedChunk = chunk
  }
}
