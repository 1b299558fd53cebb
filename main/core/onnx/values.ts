import { AppError } from "../../contract/errors.ts"
import { fromFloat16 } from "../bytes/float16.ts"
import type { DataType } from "./data-type.ts"
import { readElements, stretchesOf, type ModelFiles } from "./elements.ts"
import type { Tensor } from "./tensor.ts"
import { malformed } from "./wire.ts"

/** Numbers of a tensor in C order: single precision where that holds them all. */
export type Values = Float32Array | Float64Array

/**
 * All values of a tensor as numbers; INT64 beyond 2^53 is rounded. `null` for types that hold no plain numbers (texts,
 * complex numbers, 8-bit floats). Throws ONNX_MALFORMED for a list that does not hold the values it announced, and
 * MODEL_UNSUPPORTED above 2^29 elements.
 */
export async function readValues(tensor: Tensor, files: ModelFiles): Promise<Values | null> {
  const { dataType, elementCount, storage } = tensor
  const decode = DECODERS[dataType]
  if (decode === undefined) return null
  if (elementCount > MAX_ELEMENTS)
    throw new AppError("MODEL_UNSUPPORTED", `a tensor of ${elementCount} elements is too large to compare`)
  if (elementCount === 0) return new Float32Array(0)
  const isList = storage.kind === "packed" || storage.kind === "unpacked"
  if (isList && WIDE_VARINTS.has(storage.field)) return readNumbers(storage, elementCount, files)
  if (NARROW.has(dataType)) {
    if (storage.kind !== "raw" && storage.kind !== "external") return null
    const source = files(storage.kind === "external" ? storage.location : null)
    return decode(Uint8Array.from(await source.read(storage.offset, storage.length)), elementCount)
  }
  if (stretchesOf(tensor) === null && !isList) return null
  const pieces: Uint8Array[] = []
  for await (const { bytes } of readElements(tensor, files)) pieces.push(bytes)
  return decode(pieces.length === 1 ? (pieces[0] ?? NOTHING) : Buffer.concat(pieces), elementCount)
}

const NOTHING = new Uint8Array(0)
/** 2 GiB of single precision: what one tensor may cost here. */
const MAX_ELEMENTS = 2 ** 29
const NARROW: ReadonlySet<DataType> = new Set(["INT4", "UINT4"])
/** Fields whose varints may be 64 bits long. */
const WIDE_VARINTS: ReadonlySet<string> = new Set(["int64_data", "uint64_data", "ints", "i"])

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

async function readNumbers(storage: ListStorage, count: number, files: ModelFiles): Promise<Values> {
  const source = files(null)
  const isPacked = storage.kind === "packed"
  const parts: Uint8Array[] = []
  for (const { offset, length } of isPacked ? storage.chunks : storage.runs) {
    const bytes = Uint8Array.from(await source.read(offset, length))
    parts.push(isPacked ? bytes : withoutTags(bytes))
  }
  const numbers = varints(Buffer.concat(parts))
  if (numbers.length !== count)
    throw malformed(0, `${storage.field} holds ${numbers.length} values instead of ${count}`)
  return numbers
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
