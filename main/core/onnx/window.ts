import { readUtf8 } from "../bytes/bytes.ts"
import type { ByteSource } from "../bytes/source.ts"

/** Read-ahead, bytes. It starts small after a jump: behind a payload there is often only one more header to read. */
const CAPACITY = 64 * 1024
const FIRST_READ = 4 * 1024

/** The part of a source that is in memory, at most 64 KiB. Positions are those of the source. */
export class Window {
  readonly #source: ByteSource
  readonly #bytes = Buffer.alloc(CAPACITY)
  #start = 0
  #end = 0
  #readAhead = FIRST_READ

  constructor(source: ByteSource) {
    this.#source = source
  }

  /** Length of the whole source, bytes. */
  get sourceSize(): number {
    return this.#source.size
  }

  holds(from: number, to: number): boolean {
    return from >= this.#start && to <= this.#end
  }

  /** Moves the window to `at`, with at least `need` bytes in it unless the source ends before. */
  async moveTo(at: number, need: number): Promise<void> {
    if (need > CAPACITY) throw new RangeError(`${need} bytes in a window of ${CAPACITY}`)
    const isJump = at < this.#start || at > this.#end
    this.#readAhead = isJump ? FIRST_READ : Math.min(this.#readAhead * 2, CAPACITY)
    const length = Math.min(Math.max(this.#readAhead, need), this.#source.size - at)
    // Copied, because a source may hand out the same buffer again.
    this.#bytes.set(await this.#source.read(at, length))
    this.#start = at
    this.#end = at + length
  }

  byte(at: number): number {
    const byte = this.#bytes[at - this.#start]
    // A reader that forgot to move the window must not go on with bytes from elsewhere.
    if (byte === undefined || at >= this.#end) throw new RangeError(`byte ${at} is not in the window`)
    return byte
  }

  /** The little-endian float32 at `at`. */
  float(at: number): number {
    return this.#bytes.readFloatLE(at - this.#start)
  }

  /** Bytes as text, `null` when they are not UTF-8. */
  text(from: number, to: number): string | null {
    const bytes = this.#bytes.subarray(from - this.#start, to - this.#start)
    // Names are ASCII almost always, and a model has tens of thousands of them.
    for (const byte of bytes) if (byte >= 0x80) return readUtf8(bytes)
    return bytes.toString("latin1")
  }
}
