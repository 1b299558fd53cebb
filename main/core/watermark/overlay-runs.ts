/** The runs of an overlay (docs/FORMAT.md 6.3): gap and length as varints, then the values. */
import { malformed, type ReadSegment } from "./overlay-segment.ts"

/** Longest varint of a number below 2^53: eight groups of seven bits. */
const MAX_VARINT_BYTES = 8

/**
 * Walks runs in order, checking each before it becomes visible: gap and length canonical, inside the segment, no more
 * elements than the segment announces, values present. Constant memory.
 */
export class RunCursor {
  /** Offset behind the current run in the bytes. */
  at = 0
  /** The segment of the current run. */
  segment = -1
  /** The current run's place in its segment, bytes. */
  start = 0
  /** How many bytes of the segment the run covers. */
  length = 0
  /** Where the run's values stand in the bytes, and their length: less than `length` when elements keep bytes of theirs. */
  valuesAt = 0
  valuesLength = 0

  readonly #segments: readonly ReadSegment[]
  readonly #bytes: Uint8Array
  /** In the current segment: the element behind the last run, and how many elements its runs still have to replace. */
  #element = 0
  #missing = 0

  constructor(segments: readonly ReadSegment[], bytes: Uint8Array) {
    this.#segments = segments
    this.#bytes = bytes
  }

  /** Moves to the next run; false after the last. Throws OVERLAY_MALFORMED. */
  next(): boolean {
    let isFirst = false
    while (this.#missing === 0) {
      this.segment += 1
      const segment = this.#segments[this.segment]
      if (segment === undefined) return false
      if (segment.replaced < 1 || segment.replaced > segment.elements)
        throw malformed(`segment ${this.segment} claims to replace ${segment.replaced} elements`)
      this.#element = 0
      this.#missing = segment.replaced
      isFirst = true
    }
    const segment = this.#segments[this.segment]
    if (segment === undefined) return false
    const gap = this.#varint()
    // Runs that touch are one run: every set of values has exactly one encoding.
    if (gap === 0 && !isFirst) throw malformed("two runs touch")
    const count = this.#varint()
    if (count < 1 || count > this.#missing) throw malformed("a run is longer than its segment announces")
    if (gap > segment.elements - this.#element || count > segment.elements - this.#element - gap)
      throw malformed("a run leaves its segment")
    this.start = (this.#element + gap) * segment.elementBytes
    this.length = count * segment.elementBytes
    this.valuesLength = count * (segment.elementBytes - segment.keptBytes)
    if (this.valuesLength > this.#bytes.length - this.at) throw malformed("it ends inside a run")
    this.valuesAt = this.at
    this.at += this.valuesLength
    this.#element += gap + count
    this.#missing -= count
    return true
  }

  #varint(): number {
    let value = 0
    for (let index = 0; index < MAX_VARINT_BYTES; index += 1) {
      const byte = this.#bytes[this.at]
      if (byte === undefined) throw malformed("it ends inside a number")
      this.at += 1
      value += (byte & 0x7f) * 2 ** (7 * index)
      if (byte < 0x80) {
        if (byte === 0 && index > 0) throw malformed("a number is longer than it needs to be")
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
    }
    throw malformed("a number in it exceeds 2^53 - 1")
  }
}

/** Appends `value` (0 to 2^53 - 1) to `bytes` at `at`; returns the offset behind it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value
  while (rest >= 0x80) {
    bytes[at++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  bytes[at++] = rest
  return at
}

/** Most bytes gap and length of a run can take. */
export const RUN_HEADER_BYTES = 2 * MAX_VARINT_BYTES
