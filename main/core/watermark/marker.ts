/** The mark over the files of a model as they stream by: which bytes belong to which weight, and what becomes of them. */
import { createHash } from "node:crypto"
import { toHex, toUtf8 } from "../bytes/bytes.ts"
import { elementBytes, readElements, readVarints, stretchesOf, type ModelFiles } from "../onnx/elements.ts"
import { TensorEmbedder, type Carrier, type Edition } from "./embed.ts"
import { portableKernel, type MarkKernel } from "./kernel.ts"
import type { LayerWeight } from "./weights.ts"

/** A file of the model: `location` is `null` for the ONNX file. `start` is where it begins in the payload's plaintext, bytes. */
export interface MarkedFile {
  readonly location: string | null
  readonly start: number
  readonly size: number
}

/** SHA-1 digits in the ONNX file that speak of an external file (TensorProto.external_data, key checksum). */
export interface Checksum {
  readonly location: string
  /** Where its 40 hexadecimal digits stand in the ONNX file. */
  readonly offset: number
}

/** A payload is handed over in stretches that begin at multiples of this: an element may be cut in two there and nowhere else. */
export const STRETCH_BYTES = 65_536

/**
 * Everything of a model that is the same for every copy. One pass over the cut elements and the rare tensors whose values
 * have no fixed places prepares it; after that any number of editions can be made without reading anything twice.
 */
export class ModelMarker {
  readonly #files: readonly MarkedFile[]
  readonly #sources: ModelFiles
  readonly #regions: readonly RegionPlan[]
  readonly #checksums: readonly Checksum[]

  static async prepare(
    carriers: readonly Carrier[],
    files: readonly MarkedFile[],
    sources: ModelFiles,
    checksums: readonly Checksum[],
    kernel: MarkKernel = portableKernel,
  ): Promise<ModelMarker> {
    const regions: RegionPlan[] = []
    for (const carrier of carriers)
      for (const place of carrier.tensor.places)
        regions.push(...(await planRegions(carrier, place, files, sources, kernel)))
    // In file order, so that a stretch meets its regions one after another.
    regions.sort((a, b) => a.file - b.file || a.start - b.start)
    const marked = new Set(regions.map(({ file }) => files[file]?.location))
    const touched = checksums.filter(({ location }) => marked.has(location))
    return new ModelMarker(files, sources, regions, touched)
  }

  private constructor(
    files: readonly MarkedFile[],
    sources: ModelFiles,
    regions: readonly RegionPlan[],
    checksums: readonly Checksum[],
  ) {
    this.#files = files
    this.#sources = sources
    this.#regions = regions
    this.#checksums = checksums
  }

  /** The stretches of files that hold carriers, in file order. */
  get spans(): readonly Span[] {
    return this.#regions.map(({ file, start, end }) => ({ file, start, end }))
  }

  /**
   * What marks an edition: `apply` changes `bytes`, which start at `offset` of the payload's plaintext, in place. Only bytes
   * of carriers change, and the digits of SHA-1 checksums over files that hold carriers; those cost one pass more.
   */
  async edition(edition: Edition): Promise<EditionMarker> {
    const regions = this.#regions.map((region) => ({ ...region, apply: region.open(edition) }))
    const weights = new EditionMarker(this.#files, regions)
    if (this.#checksums.length === 0) return weights
    const digits = await this.#digits(weights)
    return new EditionMarker(
      this.#files,
      [...regions, ...digits].sort((a, b) => a.file - b.file || a.start - b.start),
      digits.map(({ start, text }) => ({ offset: start, text })),
    )
  }

  /** The digits of every checksum as they are for this edition. */
  async #digits(marker: EditionMarker): Promise<readonly (Region & { readonly text: Uint8Array })[]> {
    const byLocation = new Map<string, Uint8Array>()
    for (const { location } of this.#checksums) {
      if (byLocation.has(location)) continue
      byLocation.set(location, toUtf8(await this.#sha1(marker, location)))
    }
    return this.#checksums.map(({ location, offset }) => {
      const text = byLocation.get(location) ?? new Uint8Array(0)
      return {
        file: 0,
        start: offset,
        end: offset + text.length,
        text,
        apply: (at, bytes) => bytes.set(text.subarray(at - offset, at - offset + bytes.length)),
      }
    })
  }

  async #sha1(marker: EditionMarker, location: string): Promise<string> {
    const hash = createHash("sha1")
    const file = this.#files.find((candidate) => candidate.location === location)
    if (file === undefined) throw new RangeError(`no file ${location}`)
    const source = this.#sources(location)
    // Stretches end where the payload's do, so that elements are cut in the prepared places only.
    for (let at = 0; at < file.size;) {
      const end = Math.min(file.size, nextMultiple(file.start + at + 1) - file.start + 15 * STRETCH_BYTES)
      const bytes = new Uint8Array(await source.read(at, end - at))
      marker.apply(file.start + at, bytes)
      hash.update(bytes)
      at = end
    }
    return toHex(hash.digest())
  }
}

/** One edition of a model. */
export class EditionMarker {
  readonly #files: readonly MarkedFile[]
  readonly #regions: readonly Region[]
  /** New checksum digits, by their offset in the ONNX file. */
  readonly checksums: readonly { readonly offset: number; readonly text: Uint8Array }[]

  constructor(
    files: readonly MarkedFile[],
    regions: readonly Region[],
    checksums: EditionMarker["checksums"] = [],
  ) {
    this.#files = files
    this.#regions = regions
    this.checksums = checksums
  }

  apply(offset: number, bytes: Uint8Array): void {
    for (const region of this.#regions) {
      const file = this.#files[region.file]
      if (file === undefined) continue
      const from = Math.max(offset, file.start + region.start)
      const to = Math.min(offset + bytes.length, file.start + region.end)
      if (from < to) region.apply(from - file.start, bytes.subarray(from - offset, to - offset))
    }
  }
}

/** A stretch of a file. */
export interface Span {
  /** Index of the file. */
  readonly file: number
  /** Bytes in the file. */
  readonly start: number
  readonly end: number
}

interface Region extends Span {
  /** Changes `bytes`, which start at `at` of the file and lie inside the region. */
  readonly apply: (at: number, bytes: Uint8Array) => void
}

interface RegionPlan extends Span {
  readonly open: (edition: Edition) => Region["apply"]
}

async function planRegions(
  carrier: Carrier,
  place: LayerWeight,
  files: readonly MarkedFile[],
  sources: ModelFiles,
  kernel: MarkKernel,
): Promise<readonly RegionPlan[]> {
  const stretches = stretchesOf(place.tensor)
  if (stretches === null || stretches.some(({ stride, width }) => stride !== width))
    return [await planScattered(carrier, place, sources, kernel)]
  const plans: RegionPlan[] = []
  for (const { location, offset, first, count, width } of stretches) {
    const file = files.findIndex((candidate) => candidate.location === location)
    const start = files[file]?.start ?? 0
    const region = { file, start: offset, end: offset + count * width }
    const cut = new Map<number, Uint8Array>()
    for (let at = nextMultiple(start + region.start + 1); at < start + region.end; at += STRETCH_BYTES) {
      const inside = at - start - region.start
      if (inside % width === 0) continue
      const element = Math.floor(inside / width)
      cut.set(element, Uint8Array.from(await sources(location).read(offset + element * width, width)))
    }
    plans.push({
      ...region,
      open: (edition) => {
        const embedder = new TensorEmbedder(carrier, edition, kernel)
        return (at, bytes) => applyRun(embedder, { offset, first, width, cut }, at, bytes)
      },
    })
  }
  return plans
}

interface ElementRun {
  readonly offset: number
  readonly first: number
  readonly width: number
  /** Elements a stretch may cut in two, whole, by their index in the run. */
  readonly cut: ReadonlyMap<number, Uint8Array>
}

/** Marks whole elements where they stand, and what is here of an element that is cut. */
function applyRun(embedder: TensorEmbedder, run: ElementRun, at: number, bytes: Uint8Array): void {
  const { offset, first, width } = run
  const from = at - offset
  const to = from + bytes.length
  const firstWhole = Math.ceil(from / width)
  const endWhole = Math.max(firstWhole, Math.floor(to / width))
  if (firstWhole < endWhole)
    embedder.apply(first + firstWhole, bytes.subarray(firstWhole * width - from, endWhole * width - from))
  const partial = new Set<number>()
  if (firstWhole * width > from) partial.add(firstWhole - 1)
  if (endWhole * width < to && endWhole >= firstWhole) partial.add(Math.floor(to / width))
  for (const element of partial) {
    const original = run.cut.get(element)
    if (original === undefined) throw new RangeError(`element ${element} is cut at an unexpected place`)
    const whole = Uint8Array.from(original)
    embedder.apply(first + element, whole)
    const begin = Math.max(from, element * width)
    const end = Math.min(to, (element + 1) * width)
    bytes.set(whole.subarray(begin - element * width, end - element * width), begin - from)
  }
}

/** Tensors whose values stand in single fields or varints: their places are kept, some bytes a weight. */
async function planScattered(
  carrier: Carrier,
  place: LayerWeight,
  sources: ModelFiles,
  kernel: MarkKernel,
): Promise<RegionPlan> {
  const { tensor } = place
  const width = elementBytes(tensor.dataType) ?? 1
  const original = new Uint8Array(tensor.elementCount * width)
  for await (const { first, bytes } of readElements(tensor, sources)) original.set(bytes, first * width)
  const stretches = stretchesOf(tensor)
  const offsets = new Float64Array(tensor.elementCount)
  const lengths = new Uint8Array(tensor.elementCount)
  if (stretches === null) {
    const varints = await readVarints(tensor, sources)
    offsets.set(varints.offsets)
    lengths.set(varints.lengths)
  } else {
    for (const { offset, first, count, stride } of stretches)
      for (let i = 0; i < count; i += 1) offsets[first + i] = offset + i * stride
    lengths.fill(width)
  }
  const last = tensor.elementCount - 1
  return {
    file: 0,
    start: offsets[0] ?? 0,
    end: (offsets[last] ?? 0) + (lengths[last] ?? 0),
    open: (edition) => {
      const marked = Uint8Array.from(original)
      new TensorEmbedder(carrier, edition, kernel).apply(0, marked)
      const encode = (i: number) => {
        const value = marked.subarray(i * width, (i + 1) * width)
        return stretches === null ? toVarint(value, tensor.dataType === "INT8") : value
      }
      return (at, bytes) => {
        for (let i = firstAtOrAfter(offsets, at - MAX_VARINT); i <= last; i += 1) {
          const start = (offsets[i] ?? 0) - at
          if (start >= bytes.length) break
          const encoded = encode(i)
          // A value of another length would move everything behind it: that weight stays as it is.
          if (encoded.length !== lengths[i]) continue
          const from = Math.max(0, -start)
          const to = Math.min(encoded.length, bytes.length - start)
          if (from < to) bytes.set(encoded.subarray(from, to), start + from)
        }
      }
    },
  }
}

const MAX_VARINT = 10

/** The element as int32_data spells it; a negative INT8 is sign-extended to 64 bits (ten bytes). */
function toVarint(element: Uint8Array, isSigned: boolean): Uint8Array {
  let value = element.reduce((sum, byte, index) => sum + byte * 2 ** (8 * index), 0)
  if (isSigned && value > 127) {
    const extended = Uint8Array.of(...Array.from({ length: 9 }, () => 0xff), 1)
    extended[0] = 0x80 | (value & 0x7f)
    return extended
  }
  const out: number[] = []
  for (; value >= 0x80; value = Math.floor(value / 0x80)) out.push((value % 0x80) | 0x80)
  return Uint8Array.of(...out, value)
}

/** Index of the first ascending value that is not below `wanted`. */
function firstAtOrAfter(ascending: Float64Array, wanted: number): number {
  let [low, high] = [0, ascending.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ascending[middle] ?? 0) < wanted) low = middle + 1
    else high = middle
  }
  return low
}

function nextMultiple(at: number): number {
  return Math.ceil(at / STRETCH_BYTES) * STRETCH_BYTES
}
