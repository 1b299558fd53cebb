import type { ValueField } from "./data-type.ts"
import { malformed, type Scope, type Span, type WireReader } from "./wire.ts"

/** The field that holds a list of numbers: a typed field of TensorProto, or a value of AttributeProto. */
export type NumberField = ValueField | "f" | "i" | "floats" | "ints"

/**
 * Fields of one repeated number that follow each other without a gap; `offset` is the position of the first tag. Of
 * fixed width, every field takes `length / count` bytes and its value is the last 4 (or 8) of them; varints are walked.
 */
export interface Run extends Span {
  readonly count: number
}

/** Where a list of numbers stands; offsets are positions in the model file. */
export type NumberStorage =
  | { readonly kind: "packed"; readonly field: NumberField; readonly chunks: readonly Span[] }
  | { readonly kind: "unpacked"; readonly field: NumberField; readonly runs: readonly Run[] }

/** What has been seen of a repeated number while its message is walked. */
export interface ValueList {
  readonly field: NumberField
  readonly chunks: Span[]
  readonly runs: { offset: number; length: number; count: number }[]
}

export function newList(field: NumberField): ValueList {
  return { field, chunks: [], runs: [] }
}

/** Notes the field the reader stands on. Throws ONNX_MALFORMED for a list in more than 4096 pieces. */
export function addField(list: ValueList, reader: WireReader, scope: Scope): void {
  if (!reader.isBlock) extendRuns(list, reader, scope.at)
  else if (reader.length > 0) {
    reader.keep(PIECE_COST)
    list.chunks.push(reader.span)
  }
  if (list.chunks.length + list.runs.length > MAX_PIECES)
    throw malformed(scope.at, `${list.field} in more than ${MAX_PIECES} pieces`)
}

/**
 * Throws ONNX_MALFORMED unless the list holds `count` values. Packed varints are only held to the bytes that so many
 * values can take, one to ten each: counting them would mean to read them all.
 */
export function checkCount(list: ValueList, count: number, at: number): void {
  const width = WIDTH[list.field]
  const bytes = packedBytes(list)
  const isRight =
    bytes === 0
      ? singles(list) === count
      : width === null
        ? bytes >= count && bytes <= count * LONGEST_VARINT
        : bytes === count * width
  if (!isRight) throw malformed(at, `${list.field} does not hold ${count} values`)
}

/** Storage of the list, `null` when it is empty. Throws ONNX_MALFORMED when packed and single values are mixed. */
export function storageOf(list: ValueList, at: number): NumberStorage | null {
  if (list.chunks.length > 0 && list.runs.length > 0)
    throw malformed(at, `${list.field} is both packed and unpacked`)
  if (list.chunks.length > 0) return { kind: "packed", field: list.field, chunks: list.chunks }
  if (list.runs.length > 0) return { kind: "unpacked", field: list.field, runs: list.runs }
  return null
}

/** No writer splits a list; the limit keeps the index small against one that does. */
const MAX_PIECES = 4096
const LONGEST_VARINT = 10
/** Bytes in memory, estimated. */
const PIECE_COST = 64

/** Bytes of a value at fixed width; `null` for varints. */
const WIDTH: Readonly<Record<NumberField, number | null>> = {
  float_data: 4,
  int32_data: null,
  int64_data: null,
  double_data: 8,
  uint64_data: null,
  f: 4,
  i: null,
  floats: 4,
  ints: null,
}

function packedBytes(list: ValueList): number {
  return list.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
}

function singles(list: ValueList): number {
  return list.runs.reduce((sum, run) => sum + run.count, 0)
}

function extendRuns(list: ValueList, reader: WireReader, end: number): void {
  const offset = reader.fieldOffset
  const length = end - offset
  const last = list.runs.at(-1)
  // Fixed-width values keep one stride in a run; a tag spelled with more bytes than it needs would break it.
  const fits = last !== undefined && (reader.isVarint || last.length === last.count * length)
  if (fits && last.offset + last.length === offset) {
    last.length += length
    last.count += 1
    return
  }
  reader.keep(PIECE_COST)
  list.runs.push({ offset, length, count: 1 })
}
