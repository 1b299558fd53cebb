/**
 * TensorProto.DataType: names, widths, and how many values a tensor of n elements takes in each of its fields.
 * Source: onnx.proto, messages TensorProto and TensorProto.DataType (IR version 13).
 */

/** The typed field of TensorProto that may hold a type's values, beside raw_data. */
export type ValueField = "float_data" | "int32_data" | "int64_data" | "double_data" | "uint64_data"

const TABLE = {
  FLOAT: [1, 32, "float_data"],
  UINT8: [2, 8, "int32_data"],
  INT8: [3, 8, "int32_data"],
  UINT16: [4, 16, "int32_data"],
  INT16: [5, 16, "int32_data"],
  INT32: [6, 32, "int32_data"],
  INT64: [7, 64, "int64_data"],
  STRING: [8, 0, null],
  BOOL: [9, 8, "int32_data"],
  FLOAT16: [10, 16, "int32_data"],
  DOUBLE: [11, 64, "double_data"],
  UINT32: [12, 32, "uint64_data"],
  UINT64: [13, 64, "uint64_data"],
  COMPLEX64: [14, 64, "float_data"],
  COMPLEX128: [15, 128, "double_data"],
  BFLOAT16: [16, 16, "int32_data"],
  FLOAT8E4M3FN: [17, 8, "int32_data"],
  FLOAT8E4M3FNUZ: [18, 8, "int32_data"],
  FLOAT8E5M2: [19, 8, "int32_data"],
  FLOAT8E5M2FNUZ: [20, 8, "int32_data"],
  UINT4: [21, 4, "int32_data"],
  INT4: [22, 4, "int32_data"],
  FLOAT4E2M1: [23, 4, "int32_data"],
  FLOAT8E8M0: [24, 8, "int32_data"],
  UINT2: [25, 2, "int32_data"],
  INT2: [26, 2, "int32_data"],
} as const satisfies Record<string, readonly [number: number, bits: number, field: ValueField | null]>

/** Name of an element type as onnx.proto spells it. */
export type DataType = keyof typeof TABLE

/** The type of this number, or `null` when onnx.proto has none (0 is UNDEFINED). */
export function dataTypeOf(number: number): DataType | null {
  return BY_NUMBER.get(number) ?? null
}

/** The typed field that may hold the values; `null` for STRING, whose values are string_data. */
export function valueFieldOf(type: DataType): ValueField | null {
  return TABLE[type][2]
}

/** Product of `dims`; `null` when it, or a dimension, is no count: negative or beyond 2^53. */
export function countElements(dims: readonly number[]): number | null {
  if (dims.some((dim) => dim < 0)) return null
  // Asked first, because 0 x 2^40 x 2^40 is a fair way to say empty.
  if (dims.includes(0)) return 0
  const count = dims.reduce((product, dim) => product * dim, 1)
  return Number.isSafeInteger(count) ? count : null
}

/** Bytes of `count` elements in raw_data: fixed width, narrow types packed into whole bytes. `null` beyond 2^53. */
export function rawBytes(type: DataType, count: number): number | null {
  const bits = TABLE[type][1]
  const bytes = bits < 8 ? Math.ceil(count / (8 / bits)) : count * (bits / 8)
  return Number.isSafeInteger(bytes) ? bytes : null
}

/** Values that `count` elements take in the typed field: two for a complex number, one for two or four narrow ones. */
export function fieldValues(type: DataType, count: number): number {
  if (type === "COMPLEX64" || type === "COMPLEX128") return count * 2
  const bits = TABLE[type][1]
  return bits < 8 ? Math.ceil(count / (8 / bits)) : count
}

const TYPES = Object.keys(TABLE) as DataType[] // keys of a literal: exactly DataType
const BY_NUMBER: ReadonlyMap<number, DataType> = new Map(TYPES.map((type) => [TABLE[type][0], type]))
