/** Arrays as the runtime sends and receives them, and their elements as numbers. */
import { AppError } from "../../../contract/errors.ts"
import { fromFloat16 } from "../../bytes/float16.ts"

/** In C order; `data` holds little-endian elements of `type` (numpy's name). */
export interface FirewallArray {
  readonly name: string
  readonly type: string
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

export type Numbers =
  Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array

/** Bytes of one element, or `null` for a type that has no numbers. */
export function elementBytes(type: string): number | null {
  return SIZES.get(type) ?? null
}

/**
 * The elements, without a copy where the bytes are aligned and the type is one JavaScript has. 64-bit integers become
 * doubles, which is exact enough for ranges and sketches. Throws INPUT_MISMATCH for a type that has no numbers.
 */
export function numbersOf({ name, type, data }: FirewallArray): Numbers {
  const size = elementBytes(type)
  if (size === null || data.length % size !== 0)
    throw new AppError("INPUT_MISMATCH", `the array ${name} of type ${type} does not fill its bytes`)
  const bytes = data.byteOffset % size === 0 ? data : data.slice()
  const { buffer, byteOffset } = bytes
  const count = bytes.length / size
  switch (type) {
    case "float32":
      return new Float32Array(buffer, byteOffset, count)
    case "float64":
      return new Float64Array(buffer, byteOffset, count)
    case "float16":
      return Float32Array.from(new Uint16Array(buffer, byteOffset, count), fromFloat16)
    case "int8":
      return new Int8Array(buffer, byteOffset, count)
    case "int16":
      return new Int16Array(buffer, byteOffset, count)
    case "int32":
      return new Int32Array(buffer, byteOffset, count)
    case "uint16":
      return new Uint16Array(buffer, byteOffset, count)
    case "uint32":
      return new Uint32Array(buffer, byteOffset, count)
    case "int64":
      return Float64Array.from(new BigInt64Array(buffer, byteOffset, count), Number)
    case "uint64":
      return Float64Array.from(new BigUint64Array(buffer, byteOffset, count), Number)
    default:
      return new Uint8Array(buffer, byteOffset, count)
  }
}

const SIZES: ReadonlyMap<string, number> = new Map([
  ["float16", 2],
  ["float32", 4],
  ["float64", 8],
  ["int8", 1],
  ["int16", 2],
  ["int32", 4],
  ["int64", 8],
  ["uint8", 1],
  ["uint16", 2],
  ["uint32", 4],
  ["uint64", 8],
  ["bool", 1],
])
