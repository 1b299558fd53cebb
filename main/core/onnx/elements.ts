/** The values of a tensor, read piece by piece from wherever they stand: in the model, in external data, packed or not. */
import { AppError } from "../../contract/errors.ts"
import type { ByteSource } from "../bytes/source.ts"
import { rawBytes, type DataType } from "./data-type.ts"
import type { Tensor } from "./tensor.ts"

/** The files of a model: the ONNX file under `null`, its external data under their locations. */
export type ModelFiles = (location: string | null) => ByteSource

/** Elements at a constant distance in one file. Element i of the tensor has `width` bytes at `offset + (i - first)·stride`. */
export interface Stretch {
  /** `null` for the model file. */
  readonly location: string | null
  readonly offset: number
  readonly first: number
  readonly count: number
  readonly stride: number
  readonly width: number
}

/** Elements a piece: 256 KiB of float32. */
const PIECE = 65_536

/**
 * Where the elements of a tensor of whole-byte, fixed-width elements stand, in order. `null` for narrow types, texts, and
 * the varints of int32_data and int64_data, which have no fixed place.
 */
export function stretchesOf(tensor: Tensor): readonly Stretch[] | null {
  const width = elementBytes(tensor.dataType)
  if (width === null) return null
  const { storage, elementCount } = tensor
  const whole = { first: 0, count: elementCount, stride: width, width }
  switch (storage.kind) {
    case "raw":
      return [{ ...whole, location: null, offset: storage.offset }]
    case "external":
      return [{ ...whole, location: storage.location, offset: storage.offset }]
    case "packed": {
      if (!FIXED_WIDTH.has(storage.field)) return null
      let first = 0
      return storage.chunks.map(({ offset, length }) => {
        const stretch = { ...whole, location: null, offset, first, count: length / width }
        first += stretch.count
        return stretch
      })
    }
    case "unpacked": {
      if (!FIXED_WIDTH.has(storage.field)) return null
      let first = 0
      return storage.runs.map(({ offset, length, count }) => {
        const stride = length / count
        // The value is the last part of its field, behind the tag.
        const stretch = { location: null, offset: offset + stride - width, first, count, stride, width }
        first += count
        return stretch
      })
    }
    case "empty":
      return []
    case "string":
      return null
  }
}

/** Bytes of one element, `null` for types narrower than a byte and for texts. */
export function elementBytes(type: DataType): number | null {
  if (type === "STRING") return null
  const bytes = rawBytes(type, 8)
  return bytes === null || bytes < 8 ? null : bytes / 8
}

/**
 * All elements in order, as fixed-width little-endian bytes (as raw_data has them), some 64 Ki at a time. A piece belongs
 * to the caller. Throws MODEL_UNSUPPORTED for narrow types and texts, FILE_CHANGED when bytes are gone.
 */
export async function* readElements(
  tensor: Tensor,
  files: ModelFiles,
): AsyncGenerator<{ readonly first: number; readonly bytes: Uint8Array<ArrayBuffer> }> {
  const stretches = stretchesOf(tensor)
  if (stretches === null) {
    const { values, width } = await readVarints(tensor, files)
    const bytes = toBytes(values, width)
    for (let first = 0; first < values.length; first += PIECE)
      yield { first, bytes: bytes.slice(first * width, Math.min(values.length, first + PIECE) * width) }
    return
  }
  for (const stretch of stretches) {
    const source = files(stretch.location)
    for (let done = 0; done < stretch.count; done += PIECE) {
      const count = Math.min(PIECE, stretch.count - done)
      const span = (count - 1) * stretch.stride + stretch.width
      const read = await source.read(stretch.offset + done * stretch.stride, span)
      yield { first: stretch.first + done, bytes: gather(read, count, stretch.stride, stretch.width) }
    }
  }
}

/** The values of a varint field with the place of each: position in the model file and encoded length, bytes. */
export interface Varints {
  /** The low 32 bits, as the field holds them. */
  readonly values: Int32Array
  readonly offsets: Float64Array
  readonly lengths: Uint8Array
  /** Bytes of an element at fixed width. */
  readonly width: number
}

/** Reads int32_data whole. Throws ONNX_MALFORMED when it does not hold as many varints as the tensor has elements. */
export async function readVarints(tensor: Tensor, files: ModelFiles): Promise<Varints> {
  const { storage, elementCount } = tensor
  const width = elementBytes(tensor.dataType)
  const isVarint =
    (storage.kind === "packed" || storage.kind === "unpacked") && storage.field === "int32_data"
  if (width === null || !isVarint)
    throw new AppError("MODEL_UNSUPPORTED", `the values of ${tensor.name} cannot be read one by one`)
  const out = {
    values: new Int32Array(elementCount),
    offsets: new Float64Array(elementCount),
    lengths: new Uint8Array(elementCount),
    width,
  }
  const source = files(null)
  let index = 0
  for (const span of storage.kind === "packed" ? storage.chunks : storage.runs) {
    const bytes = await source.read(span.offset, span.length)
    let at = 0
    while (at < bytes.length) {
      if (storage.kind === "unpacked") at = endOfVarint(bytes, at) // the tag
      const end = endOfVarint(bytes, at)
      if (index >= elementCount) break
      out.values[index] = lowBits(bytes, at, end)
      out.offsets[index] = span.offset + at
      out.lengths[index] = end - at
      index += 1
      at = end
    }
    if (at < bytes.length) index = elementCount + 1
  }
  if (index !== elementCount)
    throw new AppError("ONNX_MALFORMED", `int32_data of ${tensor.name} does not hold ${elementCount} values`)
  return out
}

const FIXED_WIDTH: ReadonlySet<string> = new Set(["float_data", "double_data", "floats", "f"])

function endOfVarint(bytes: Uint8Array, at: number): number {
  let end = at
  while (end < bytes.length && (bytes[end] ?? 0) >= 0x80) end += 1
  if (end >= bytes.length) throw new AppError("ONNX_MALFORMED", "a varint that leaves its list")
  return end + 1
}

function lowBits(bytes: Uint8Array, from: number, end: number): number {
  let value = 0
  for (let at = from, shift = 0; at < end && shift < 32; at += 1, shift += 7)
    value |= ((bytes[at] ?? 0) & 0x7f) << shift
  return value
}

function toBytes(values: Int32Array, width: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(values.length * width)
  values.forEach((value, index) => {
    for (let byte = 0; byte < width; byte += 1) out[index * width + byte] = value >> (8 * byte)
  })
  return out
}

/** A copy of `count` elements without what stands between them. */
function gather(bytes: Uint8Array, count: number, stride: number, width: number): Uint8Array<ArrayBuffer> {
  if (stride === width) return Uint8Array.from(bytes)
  const out = new Uint8Array(count * width)
  for (let i = 0; i < count; i += 1) out.set(bytes.subarray(i * stride, i * stride + width), i * width)
  return out
}
