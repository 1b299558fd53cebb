/** The mark's pseudo-random streams: AES-256-CTR under a zero IV, one key a stream, so any byte can be had by its position. */
import { createCipheriv, type Cipheriv } from "node:crypto"
import { wipe } from "../bytes/bytes.ts"

const BLOCK_BYTES = 16
/** What is encrypted to get the stream, at most so much at once. */
const ZEROS = new Uint8Array(1 << 20)

/** Stretches shorter than this come from the block cipher that is ready, not from a new one in counter mode. */
const SHORT_BYTES = 4096

/** A stretch of a stream, bytes. */
export interface StreamRange {
  readonly offset: number
  readonly length: number
}

/** One stream. Byte n is byte n mod 16 of the encryption of block n / 16 (NIST SP 800-38A, 6.5, initial counter 0). */
export class KeyStream {
  readonly #key: Uint8Array
  /** Setting a cipher up costs as much as some kilobytes of stream, so the one for short stretches is kept. */
  #blocks: Cipheriv | null = null

  /** `key`: 32 bytes; copied, so the caller wipes its own. */
  constructor(key: Uint8Array) {
    this.#key = Uint8Array.from(key)
  }

  /** `length` bytes from byte `offset` of the stream on. */
  read(offset: number, length: number): Uint8Array {
    if (length < SHORT_BYTES) return this.gather([{ offset, length }])
    const cipher = createCipheriv("aes-256-ctr", this.#key, counterOf(Math.floor(offset / BLOCK_BYTES)))
    cipher.update(ZEROS.subarray(0, offset % BLOCK_BYTES))
    if (length <= ZEROS.length) return cipher.update(ZEROS.subarray(0, length))
    const out = new Uint8Array(length)
    for (let at = 0; at < length; at += ZEROS.length) {
      const part = cipher.update(ZEROS.subarray(0, Math.min(ZEROS.length, length - at)))
      out.set(part, at)
      wipe(part)
    }
    return out
  }

  /** Many short stretches one behind the other; each costs little more than its bytes. */
  gather(ranges: readonly StreamRange[]): Uint8Array {
    const firstOf = ({ offset }: StreamRange) => Math.floor(offset / BLOCK_BYTES)
    const endOf = ({ offset, length }: StreamRange) => Math.ceil((offset + length) / BLOCK_BYTES)
    const [size, blocks] = ranges.reduce(
      ([bytes, sum], range) => [bytes + range.length, sum + endOf(range) - firstOf(range)],
      [0, 0],
    )
    const counters = new Uint8Array(blocks * BLOCK_BYTES)
    const view = new DataView(counters.buffer)
    let at = 0
    for (const range of ranges)
      for (let block = firstOf(range); block < endOf(range); block += 1, at += BLOCK_BYTES) {
        view.setUint32(at + 8, Math.floor(block / 2 ** 32))
        view.setUint32(at + 12, block % 2 ** 32)
      }
    this.#blocks ??= createCipheriv("aes-256-ecb", this.#key, null).setAutoPadding(false)
    const stream = this.#blocks.update(counters)
    const out = new Uint8Array(size)
    let [from, to] = [0, 0]
    for (const range of ranges) {
      const skip = range.offset - firstOf(range) * BLOCK_BYTES
      for (let i = 0; i < range.length; i += 1) out[to + i] = stream[from + skip + i] ?? 0
      to += range.length
      from += (endOf(range) - firstOf(range)) * BLOCK_BYTES
    }
    wipe(stream)
    return out
  }

  /**
   * Bits `first` to `first + count` of the stream as one byte each, 0 or 1; bit n is bit n mod 8 of byte n / 8, the least
   * significant one first.
   */
  readBits(first: number, count: number): Uint8Array {
    const bytes = this.readBitBytes(first, count)
    const out = new Uint8Array(count)
    const skip = first % 8
    for (let i = 0; i < count; i += 1) {
      const bit = skip + i
      out[i] = ((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1
    }
    wipe(bytes)
    return out
  }

  /** The bytes that hold those bits: bit `first` is bit `first` mod 8 of the first one. */
  readBitBytes(first: number, count: number): Uint8Array {
    const from = Math.floor(first / 8)
    return this.read(from, Math.ceil((first + count) / 8) - from)
  }

  /** Wipes the key; the stream cannot be read any more. */
  close(): void {
    wipe(this.#key)
    // Finishing a cipher has OpenSSL cleanse its key schedule.
    this.#blocks?.final()
    this.#blocks = null
  }
}

function counterOf(block: number): Uint8Array {
  const counter = new Uint8Array(BLOCK_BYTES)
  const view = new DataView(counter.buffer)
  view.setUint32(8, Math.floor(block / 2 ** 32))
  view.setUint32(12, block % 2 ** 32)
  return counter
}
