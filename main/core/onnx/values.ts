import { AppError } from "../../contract/errors.ts"
import { fromFloat16 } from "../bytes/float16.ts"
import type { ByteSource } from "../bytes/source.ts"
import type { DataType } from "./data-type.ts"
import type { Tensor } from "./tensor.ts"
import { malformed } from "./wire.ts"

/** The bytes that values stand in: the model file for `null`, else the external file of that location. */
export type OpenBytes = (location: string | null) => ByteSource

/** Numbers of a tensor in C order: single precision where that holds them all. */
export type Values = Float32Array | Float64Array

/**
 * The values of a tensor as numbers; INT64 beyond 2^53 is rounded. `null` for types that hold no plain numbers (texts,
 * complex numbers, 8-bit and 4-bit floats). Throws ONNX_MALFORMED for a list that does not hold the values it announced.
 */
export async function readValues(tensor: Tensor, open: OpenBytes): Promise<Values | null> {
  const { dataType, elementCount, storage } = tensor
  const decode = DECODERS[dataType]
  if (decode === undefined) return null
  if (elementCount > MAX_ELEMENTS)
    throw new AppError("ONNX_MALFORMED", `a tensor of ${elementCount} elements is too large to compare`)
  switch (storage.kind) {
    case "empty":
    case "string":
      return new Float32Array(0)
    case "raw":
    case "external": {
      const source = open(storage.kind === "external" ? storage.location : null)
      return decode(await source.read(storage.offset, storage.length), elementCount)
    }
    case "packed":
    case "unpacked": {
      const bytes = await gather(storage, open(null))
      const isWide = WIDTH[storage.field] !== undefined
      const numbers = isWide ? fixedNumbers(bytes, WIDTH[storage.field] === 8) : varints(bytes)
      return fromNumbers(numbers, dataType, elementCount, storage)
    }
  }
}

/** 2 GiB of single precision: what one tensor may cost here. */
const MAX_ELEMENTS = 2 ** 29

type Decode = (bytes: Uint8Array, count: number) => Values

const DECODERS: Partial<Record<DataType, Decode>> = {
  FLOAT: (bytes, count) => new Float32Array(copy(bytes), 0, count),
  DOUBLE: (bytes, count) => new Float64Array(copy(bytes), 0, count),
  FLOAT16: (bytes, count) => Float32Array.from(new Uint16Array(copy(bytes), 0, count), fromFloat16),
  BFLOAT16: (bytes, count) => widenBfloat16(new Uint16Array(copy(bytes), 0, count)),
  INT8: (bytes, count) => Float32Array.from(new Int8Array(copy(bytes), 0, count)),
  UINT8: (bytes, count) => Float32Array.from(new Uint8Array(copy(bytes), 0, count)),
  INT16: (bytes, count) => Float32Array.from(new Int16Array(copy(bytes), 0, count)),
  UINT16: (bytes, count) => Float32Array.from(new Uint16Array(copy(bytes), 0, count)),
  INT32: (bytes, count) => Float64Array.from(new Int32Array(copy(bytes), 0, count)),
  UINT32: (bytes, count) => Float64Array.from(new Uint32Array(copy(bytes), 0, count)),
  INT64: (bytes, count) => Float64Array.from(new BigInt64Array(copy(bytes), 0, count), Number),
  UINT64: (bytes, count) => Float64Array.from(new BigUint64Array(copy(bytes), 0, count), Number),
  BOOL: (bytes, count) => Float32Array.from(bytes.subarray(0, count)),
  // The low half of a byte comes first.
  INT4: (bytes, count) => nibbles(bytes, count, (half) => (half ^ 8) - 8),
  UINT4: (bytes, count) => nibbles(bytes, count, (half) => half),
}

/** A buffer of its own, because a view over typed elements must be aligned. */
function copy(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer
}

function widenBfloat16(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, (half) => half * 65_536).buffer)
}

function nibbles(bytes: Uint8Array, count: number, toNumber: (half: number) => number): Float32Array {
  const out = new Float32Array(count)
  for (let i = 0; i < count; i += 1) out[i] = toNumber(((bytes[i >> 1] ?? 0) >> ((i & 1) * 4)) & 15)
  return out
}

type ListStorage = Extract<Tensor["storage"], { readonly kind: "packed" | "unpacked" }>

const WIDTH: Readonly<Partial<Record<ListStorage["field"], 4 | 8>>> = {
  float_data: 4,
  double_data: 8,
  f: 4,
  floats: 4,
}

/** The encoded values without what stands between them. */
async function gather(storage: ListStorage, source: ByteSource): Promise<Uint8Array> {
  if (storage.kind === "packed") {
    const parts: Uint8Array[] = []
    for (const { offset, length } of storage.chunks) parts.push(Uint8Array.from(await source.read(offset, length)))
    return Buffer.concat(parts)
  }
  const parts: Uint8Array[] = []
  const width = WIDTH[storage.field]
  for (const { offset, length, count } of storage.runs) {
    const bytes = await source.read(offset, length)
    parts.push(width === undefined ? withoutTags(bytes) : lastOfEach(bytes, length / count, width))
  }
  return Buffer.concat(parts)
}

function lastOfEach(bytes: Uint8Array, stride: number, width: number): Uint8Array {
  const count = bytes.length / stride
  const out = new Uint8Array(count * width)
  for (let i = 0; i < count; i += 1)
    out.set(bytes.subarray((i + 1) * stride - width, (i + 1) * stride), i * width)
  return out
}

/** Of tag and value in turn, both varints, the values. */
function withoutTags(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length)
  let [size, isTag] = [0, true]
  for (const byte of bytes) {
    if (!isTag) out[size++] = byte
    if (byte < 0x80) isTag = !isTag
  }
  return out.subarray(0, size)
}

function fixedNumbers(bytes: Uint8Array, isDouble: boolean): Values {
  return isDouble ? new Float64Array(copy(bytes)) : new Float32Array(copy(bytes))
}

/** Varints as signed numbers; beyond 2^53 rounded. */
function varints(bytes: Uint8Array): Float64Array {
  const out = new Float64Array(bytes.reduce((count, byte) => count + (byte < 0x80 ? 1 : 0), 0))
  let [at, value, factor] = [0, 0, 1]
  for (const byte of bytes) {
    value += (byte & 0x7f) * factor
    factor *= 128
    if (byte >= 0x80) continue
    out[at++] = value >= 2 ** 63 ? value - 2 ** 64 : value
    ;[value, factor] = [0, 1]
  }
  return out
}

/** Values from a typed field: what int32_data and the like hold depends on the tensor's type. */
function fromNumbers(numbers: Values, dataType: DataType, count: number, storage: ListStorage): Values {
  const place = storage.kind === "packed" ? storage.chunks[0]?.offset : storage.runs[0]?.offset
  const isNarrow = dataType === "INT4" || dataType === "UINT4"
  const expected = isNarrow ? Math.ceil(count / 2) : count
  if (numbers.length !== expected)
    throw malformed(place ?? 0, `${storage.field} holds ${numbers.length} values instead of ${expected}`)
  if (dataType === "FLOAT16") return Float32Array.from(numbers, (bits) => fromFloat16(bits & 0xffff))
  if (dataType === "BFLOAT16") return widenBfloat16(Uint16Array.from(numbers))
  if (isNarrow) return DECODERS[dataType]?.(Uint8Array.from(numbers), count) ?? numbers
  return numbers
}
