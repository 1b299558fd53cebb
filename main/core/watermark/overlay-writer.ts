/** Writes overlays (docs/FORMAT.md 6). */
import { wipe } from "../bytes/bytes.ts"
import { ENTRY, HEADER, OVERLAY_MAGIC, OVERLAY_VERSION, type OverlayBinding } from "./overlay.ts"
import { RUN_HEADER_BYTES, writeVarint } from "./overlay-runs.ts"
import { checkSegment, type OverlaySegment } from "./overlay-segment.ts"

/**
 * Collects values as a model streams by and writes one overlay. Segments are declared first, in ascending order of file and
 * offset, disjoint; a segment that gets no values is left out. Values come in ascending order; what touches becomes one run,
 * and a run may be handed over in pieces of any size, elements cut in two included:
 *
 * ```ts
 * const writer = new OverlayWriter(segments)
 * writer.add(segment, 32, values)      // replaces bytes 32.. of segment `segment`
 * const overlay = writer.finish({ base, model, deviceSalt, device })
 * ```
 *
 * `base` (the payload's digest) is known only after encryption, which is why it comes last. Memory is the overlay itself.
 */
export class OverlayWriter {
  readonly #segments: readonly OverlaySegment[]
  readonly #replaced: number[]
  #bytes = new Uint8Array(4096)
  #length = 0
  /** The segment being written, where its last finished run ends, and the run that is still growing (offsets in bytes). */
  #segment = -1
  #element = 0
  #runStart = 0
  #run = new Uint8Array(1024)
  #runLength = 0

  /** Throws OVERLAY_MALFORMED for segments out of order, overlapping, or of an unknown element size. */
  constructor(segments: readonly OverlaySegment[]) {
    segments.forEach((segment, index) => checkSegment(segment, segments[index - 1] ?? null))
    this.#segments = segments
    this.#replaced = segments.map(() => 0)
  }

  /**
   * `values`, whole elements as the file has them, stand at byte `offset` of segment number `segment`. Throws RangeError for values out of order or outside, or
   * a run that does not consist of whole elements.
   */
  add(segment: number, offset: number, values: Uint8Array): void {
    if (values.length === 0) return
    const isContinued =
      segment === this.#segment && this.#runLength > 0 && offset === this.#runStart + this.#runLength
    if (!isContinued) {
      this.#finishRun()
      this.#startRun(segment, offset)
    }
    const { elements, elementBytes } = this.#at(segment)
    if (offset + values.length > elements * elementBytes) throw new RangeError("values leave their segment")
    this.#run = grown(this.#run, this.#runLength, values.length)
    this.#run.set(values, this.#runLength)
    this.#runLength += values.length
  }

  /** The overlay, or `null` when nothing was added: then there is nothing to overlay. The writer is done. */
  finish(binding: OverlayBinding): Uint8Array<ArrayBuffer> | null {
    this.#finishRun()
    const used = this.#segments.flatMap((segment, index) => {
      const replaced = this.#replaced[index] ?? 0
      return replaced === 0 ? [] : [{ ...segment, replaced }]
    })
    if (used.length === 0) return null
    const tableEnd = HEADER.bytes + used.length * ENTRY.bytes
    const bytes = new Uint8Array(tableEnd + this.#length)
    const view = new DataView(bytes.buffer)
    bytes.set(OVERLAY_MAGIC)
    view.setUint32(HEADER.version, OVERLAY_VERSION, true)
    view.setUint32(HEADER.segments, used.length, true)
    place(bytes, HEADER.base, binding.base, 32)
    place(bytes, HEADER.model, binding.model, 32)
    place(bytes, HEADER.salt, binding.deviceSalt, 16)
    place(bytes, HEADER.device, binding.device, 32)
    used.forEach(({ file, elementBytes, keptBytes, offset, elements, replaced }, index) => {
      const at = HEADER.bytes + index * ENTRY.bytes
      view.setUint32(at + ENTRY.file, file, true)
      view.setUint8(at + ENTRY.elementBytes, elementBytes)
      view.setUint8(at + ENTRY.keptBytes, keptBytes)
      view.setBigUint64(at + ENTRY.offset, BigInt(offset), true)
      view.setBigUint64(at + ENTRY.elements, BigInt(elements), true)
      view.setBigUint64(at + ENTRY.replaced, BigInt(replaced), true)
    })
    bytes.set(this.#bytes.subarray(0, this.#length), tableEnd)
    wipe(this.#bytes, this.#run)
    return bytes
  }

  #startRun(segment: number, offset: number): void {
    if (segment < this.#segment) throw new RangeError("segments come in ascending order")
    if (segment !== this.#segment) {
      this.#segment = segment
      this.#element = 0
    }
    const { elementBytes } = this.#at(segment)
    if (offset % elementBytes !== 0 || offset < this.#element * elementBytes)
      throw new RangeError("a run starts inside an element or before the last one")
    this.#runStart = offset
    this.#runLength = 0
  }

  #finishRun(): void {
    if (this.#runLength === 0) return
    const { elementBytes, keptBytes } = this.#at(this.#segment)
    if (this.#runLength % elementBytes !== 0) throw new RangeError("a run ends inside an element")
    const start = this.#runStart / elementBytes
    const count = this.#runLength / elementBytes
    this.#bytes = grown(this.#bytes, this.#length, RUN_HEADER_BYTES + this.#runLength)
    let at = writeVarint(this.#bytes, this.#length, start - this.#element)
    at = writeVarint(this.#bytes, at, count)
    for (let from = keptBytes; from < this.#runLength; from += elementBytes) {
      const changed = this.#run.subarray(from, from + elementBytes - keptBytes)
      for (const byte of changed) this.#bytes[at++] = byte
    }
    this.#length = at
    this.#element = start + count
    this.#replaced[this.#segment] = (this.#replaced[this.#segment] ?? 0) + count
    this.#runLength = 0
  }

  #at(segment: number): OverlaySegment {
    const found = this.#segments[segment]
    if (found === undefined) throw new RangeError(`no segment ${segment}`)
    return found
  }
}

/** The buffer with room for `more` bytes behind `used`; a larger copy when it was full, the old one wiped. */
function grown(buffer: Uint8Array<ArrayBuffer>, used: number, more: number): Uint8Array<ArrayBuffer> {
  if (used + more <= buffer.length) return buffer
  const larger = new Uint8Array(Math.max(2 * buffer.length, used + more))
  larger.set(buffer.subarray(0, used))
  wipe(buffer)
  return larger
}

function place(bytes: Uint8Array, at: number, value: Uint8Array, size: number): void {
  if (value.length !== size) throw new RangeError(`expected ${size} bytes, got ${value.length}`)
  bytes.set(value, at)
}
