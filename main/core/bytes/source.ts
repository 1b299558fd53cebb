/** Bytes that can be read anywhere: a file, a blob inside a tar, a buffer. Parsers see only this. */
export interface ByteSource {
  /** Total length, bytes. */
  readonly size: number
  /**
   * Exactly `length` bytes starting at `offset`. The view may be reused by the next call: copy what you keep.
   * Throws FILE_CHANGED when the bytes are no longer there.
   */
  read(offset: number, length: number): Promise<Uint8Array>
}

/** A source over bytes already in memory. Views share the buffer. */
export function sourceOf(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: async (offset, length) => {
      if (offset < 0 || length < 0 || offset + length > bytes.length) {
        throw new RangeError(`read of ${length} bytes at ${offset} in ${bytes.length}`)
      }
      return bytes.subarray(offset, offset + length)
    },
  }
}

/** The part of `source` that starts at `offset` and is `size` bytes long. */
export function sliceSource(source: ByteSource, offset: number, size: number): ByteSource {
  if (offset < 0 || size < 0 || offset + size > source.size) {
    throw new RangeError(`slice of ${size} bytes at ${offset} in ${source.size}`)
  }
  return {
    size,
    read: async (at, length) => {
      if (at < 0 || length < 0 || at + length > size)
        throw new RangeError(`read of ${length} bytes at ${at} in ${size}`)
      return source.read(offset + at, length)
    },
  }
}

/** What is read first, and after every jump. */
const FIRST_STRETCH = 1 << 12

/**
 * The same source, read in stretches: what lies behind comes along. For documents that lie side by side and are looked at one
 * after the other. A stretch is twice the last one, up to `stretchBytes`, as long as reads go forward; one that jumps back
 * starts small, so that an order chosen by a stranger cannot have much more read than is asked for. A larger read goes
 * straight through.
 */
export function readAhead(source: ByteSource, stretchBytes = 1 << 18): ByteSource {
  let from = 0
  let held = new Uint8Array(0)
  let stretch = 0
  return {
    size: source.size,
    read: async (offset, length) => {
      if (offset >= from && offset + length <= from + held.length)
        return held.subarray(offset - from, offset - from + length)
      const goesOn = offset >= from && offset <= from + held.length + stretchBytes
      stretch = goesOn ? Math.min(stretchBytes, Math.max(FIRST_STRETCH, 2 * stretch)) : FIRST_STRETCH
      const available = Math.min(Math.max(length, stretch), stretchBytes, source.size - offset)
      if (length > available) return source.read(offset, length)
      const read = Uint8Array.from(await source.read(offset, available))
      held = read
      from = offset
      return read.subarray(0, length)
    },
  }
}

/** The whole source in memory, refused above `limit` bytes: a size read from a file is a claim, not a fact. */
export async function readAll(source: ByteSource, limit: number, tooLarge: () => Error): Promise<Uint8Array> {
  if (source.size > limit) throw tooLarge()
  return Uint8Array.from(await source.read(0, source.size))
}
