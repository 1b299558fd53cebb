/** Overlays of a marked model (docs/FORMAT.md 6): what every device of a fleet gets in place of the payload's filler. */
import { createHash } from "node:crypto"
import { wipe } from "../bytes/bytes.ts"
import { stretchesOf, type ModelFiles, type Stretch } from "../onnx/elements.ts"
import { keptBytes, TensorEmbedder, type Carrier } from "./embed.ts"
import { portableKernel, type MarkKernel } from "./kernel.ts"
import { STRETCH_BYTES, type EditionMarker, type MarkedFile } from "./marker.ts"
import { OverlayWriter } from "./overlay-writer.ts"
import type { OverlayBinding } from "./overlay.ts"
import type { OverlaySegment } from "./overlay-segment.ts"
import type { CodeWord } from "./streams.ts"

/** Bytes of one file an overlay replaces, and where their values stand among all values of a device. */
interface Range {
  readonly segment: number
  readonly carrier: number
  /** First element, and how many. */
  readonly first: number
  readonly count: number
  readonly width: number
  readonly isCode: boolean
  /** Bytes from the segment's start, from the file's, and among the values. */
  readonly inSegment: number
  readonly inFile: number
  readonly at: number
}

/**
 * Holds both values every weight of S can have, so that a device's overlay is one choice a weight. Memory: some ten bytes for
 * each weight of S and decoy.
 */
export class OverlayMaker {
  readonly #carriers: readonly Carrier[]
  readonly #segments: readonly OverlaySegment[]
  readonly #ranges: readonly Range[]
  /** Values for bit 0 and bit 1, in the order of the ranges. */
  readonly #zeros: Uint8Array
  readonly #ones: Uint8Array

  /** Reads the weights of S. Throws FILE_CHANGED when they are gone. */
  static async prepare(
    carriers: readonly Carrier[],
    files: readonly MarkedFile[],
    sources: ModelFiles,
    kernel: MarkKernel = portableKernel,
  ): Promise<OverlayMaker> {
    const placed = carriers
      .flatMap((carrier, index) =>
        carrier.parameters.subset === 0
          ? []
          : carrier.tensor.places.flatMap(({ tensor }) =>
              (stretchesOf(tensor) ?? []).map((stretch) => ({
                carrier,
                index,
                stretch,
                file: files.findIndex(({ location }) => location === stretch.location),
              })),
            ),
      )
      .sort((a, b) => a.file - b.file || a.stretch.offset - b.stretch.offset)
    const ranges: Range[] = []
    let size = 0
    placed.forEach(({ carrier, index, stretch }, segment) => {
      for (const range of findRanges(carrier, stretch)) {
        const inSegment = (range.first - stretch.first) * stretch.width
        ranges.push({
          ...range,
          segment,
          carrier: index,
          width: stretch.width,
          inSegment,
          inFile: stretch.offset + inSegment,
          at: size,
        })
        size += range.count * stretch.width
      }
    })
    const zeros = new Uint8Array(size)
    for (const { segment, at, count, width, inFile } of ranges) {
      const location = placed[segment]?.stretch.location ?? null
      zeros.set(await sources(location).read(inFile, count * width), at)
    }
    const ones = Uint8Array.from(zeros)
    for (const [index, carrier] of carriers.entries()) {
      const mine = ranges.filter((range) => range.carrier === index)
      for (const [bit, values] of [zeros, ones].entries()) {
        const embedder = new TensorEmbedder(carrier, { kind: "fleet-bit", bit: bit === 0 ? 0 : 1 }, kernel)
        for (const { first, count, width, at } of mine)
          embedder.apply(first, values.subarray(at, at + count * width))
      }
    }
    const segments = placed.map(({ carrier, file, stretch }) => ({
      file,
      offset: stretch.offset,
      elementBytes: stretch.width,
      keptBytes: keptBytes(carrier.tensor),
      elements: stretch.count,
    }))
    return new OverlayMaker(carriers, segments, ranges, zeros, ones)
  }

  private constructor(
    carriers: readonly Carrier[],
    segments: readonly OverlaySegment[],
    ranges: readonly Range[],
    zeros: Uint8Array,
    ones: Uint8Array,
  ) {
    this.#carriers = carriers
    this.#segments = segments
    this.#ranges = ranges
    this.#zeros = zeros
    this.#ones = ones
  }

  /** What stands in S and in the decoys for one device. A secret; its owner wipes it. */
  values(word: CodeWord): Uint8Array {
    const values = Uint8Array.from(this.#zeros)
    for (const [index, { streams }] of this.#carriers.entries()) {
      const mine = this.#ranges.filter(({ carrier, isCode }) => isCode && carrier === index)
      const bits = streams.bits(word, mine)
      let weight = 0
      for (const { count, width, at } of mine)
        for (let from = at; from < at + count * width; from += width, weight += 1)
          if (bits[weight] === 1)
            for (let byte = from; byte < from + width; byte += 1) values[byte] = this.#ones[byte] ?? 0
    }
    return values
  }

  /** The overlay of these values; `null` when the model has no S. */
  overlay(values: Uint8Array, binding: OverlayBinding): Uint8Array | null {
    const writer = new OverlayWriter(this.#segments)
    for (const { segment, inSegment, at, count, width } of this.#ranges)
      writer.add(segment, inSegment, values.subarray(at, at + count * width))
    return writer.finish(binding)
  }

  /**
   * SHA-256 of every file as each device assembles it, devices in the order of `copies`. Each stretch of the files is read
   * and marked once for all of them.
   */
  async digests(
    copies: readonly Uint8Array[],
    base: EditionMarker,
    files: readonly MarkedFile[],
    sources: ModelFiles,
    progress: (doneBytes: number) => void = () => {},
  ): Promise<readonly (readonly Uint8Array[])[]> {
    const digests: Uint8Array[][] = copies.map(() => [])
    let done = 0
    for (const [index, file] of files.entries()) {
      const hashes = copies.map(() => createHash("sha256"))
      const ranges = this.#ranges.filter(({ segment }) => this.#segments[segment]?.file === index)
      let next = 0
      for (let at = 0; at < file.size;) {
        // Stretches end where the payload's do: elements are cut in the prepared places only.
        const end = Math.min(file.size, stretchEnd(file.start + at) - file.start)
        const bytes = new Uint8Array(await sources(file.location).read(at, end - at))
        base.apply(file.start + at, bytes)
        while (next < ranges.length && endOf(ranges[next]) <= at) next += 1
        copies.forEach((values, copy) => {
          for (let i = next; i < ranges.length && (ranges[i]?.inFile ?? end) < end; i += 1)
            place(ranges[i], values, at, bytes)
          hashes[copy]?.update(bytes)
        })
        wipe(bytes)
        done += end - at
        progress(done)
        at = end
      }
      hashes.forEach((hash, copy) => digests[copy]?.push(hash.digest()))
    }
    return digests
  }
}

/** Bytes read at once: whole stretches of the payload. */
const READ_STRETCHES = 16

function stretchEnd(at: number): number {
  return (Math.floor(at / STRETCH_BYTES) + READ_STRETCHES) * STRETCH_BYTES
}

function endOf(range: Range | undefined): number {
  return range === undefined ? 0 : range.inFile + range.count * range.width
}

/** Puts what lies of a range inside `bytes` (which start at `offset` of the file) there. */
function place(range: Range | undefined, values: Uint8Array, offset: number, bytes: Uint8Array): void {
  if (range === undefined) return
  const from = Math.max(range.inFile, offset)
  const to = Math.min(endOf(range), offset + bytes.length)
  if (from >= to) return
  const at = range.at - range.inFile
  bytes.set(values.subarray(at + from, at + to), from - offset)
}

/** Stretches of S and of decoys in the elements of a stretch, in order; whole blocks, each of one kind. */
function findRanges(
  { streams, parameters }: Carrier,
  stretch: Stretch,
): readonly Pick<Range, "first" | "count" | "isCode">[] {
  const ranges: Pick<Range, "first" | "count" | "isCode">[] = []
  const piece = 1 << 16
  for (let done = 0; done < stretch.count; done += piece) {
    const first = stretch.first + done
    ranges.push(...streams.blocks(first, Math.min(piece, stretch.count - done), parameters))
  }
  return ranges
}
