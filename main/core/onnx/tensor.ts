import {
  countElements,
  dataTypeOf,
  fieldValues,
  rawBytes,
  valueFieldOf,
  type DataType,
  type ValueField,
} from "./data-type.ts"
import { readEntry, type Entry } from "./entry.ts"
import { toExternalStorage, type ExternalStorage } from "./external-data.ts"
import { PACKED, TENSOR } from "./schema.ts"
import { addField, checkCount, newList, storageOf, type NumberStorage, type ValueList } from "./value-list.ts"
import { malformed, type Scope, type Span, type WireReader } from "./wire.ts"

/** Where the values of a tensor stand. Offsets are absolute: in the model file, or in the external file. */
export type TensorStorage =
  | ({ readonly kind: "raw" } & Span)
  | NumberStorage
  | ExternalStorage
  /** No elements, so nothing stands anywhere. */
  | { readonly kind: "empty" }
  /** Texts of varying length in string_data; they are not located. */
  | { readonly kind: "string" }

/** A TensorProto without its values. */
export interface Tensor {
  readonly name: string
  readonly dataType: DataType
  /** Non-negative; [] is a scalar. */
  readonly dims: readonly number[]
  /** Product of dims, at most 2^53. */
  readonly elementCount: number
  /** Bytes of the values at fixed width (as in raw_data); of STRING, of all texts together. */
  readonly byteLength: number
  readonly storage: TensorStorage
}

/**
 * Reads the tensor in `scope`; its values are passed over. What it states about itself must agree: known type, dims that
 * multiply to a count, values in one place only, of the field its type allows and of exactly the length dims ask for (a
 * varint field can only be held to the bytes its values may take). Throws ONNX_MALFORMED, also for `segment`, which no
 * reader implements, and what `toExternalStorage` throws.
 */
export async function readTensor(reader: WireReader, scope: Scope): Promise<Tensor> {
  const start = scope.at
  const seen = await readFields(reader, scope)
  const dataType = dataTypeOf(seen.dataType)
  if (dataType === null) throw malformed(start, `a tensor of the unknown type ${seen.dataType}`)
  const elementCount = countElements(seen.dims)
  const byteLength = elementCount === null ? null : rawBytes(dataType, elementCount)
  if (elementCount === null || byteLength === null)
    throw malformed(start, `a tensor of the impossible shape [${seen.dims.join(", ")}]`)

  const facts = { name: seen.name, dataType, dims: seen.dims, elementCount }
  if (dataType === "STRING") {
    checkStrings(seen, elementCount, start)
    return { ...facts, byteLength: seen.stringBytes, storage: { kind: "string" } }
  }
  if (seen.strings > 0) throw malformed(start, `string_data in a tensor of type ${dataType}`)
  return { ...facts, byteLength, storage: locateValues(seen, dataType, elementCount, byteLength, start) }
}

/** Reads the current field, a repeated integer, into `dims`. Throws ONNX_MALFORMED above 64 dimensions. */
export async function readDims(reader: WireReader, scope: Scope, dims: number[]): Promise<void> {
  if (reader.isBlock) {
    const packed = reader.enter(scope, PACKED)
    while (reader.hasMore(packed) && dims.length <= MAX_RANK) {
      if (reader.isStarved(packed)) await reader.load(packed)
      reader.nextVarint(packed)
      dims.push(reader.integer())
    }
  } else dims.push(reader.integer())
  if (dims.length > MAX_RANK) throw malformed(scope.at, `a tensor of more than ${MAX_RANK} dimensions`)
}

const MAX_RANK = 64
const MAX_EXTERNAL_ENTRIES = 64

/** TensorProto.DataLocation. */
const DEFAULT = 0
const EXTERNAL = 1

/** Numbers of the fields that hold numbers. */
const VALUE_FIELDS: ReadonlyMap<number, ValueField> = new Map([
  [TENSOR.field.floatData, "float_data"],
  [TENSOR.field.int32Data, "int32_data"],
  [TENSOR.field.int64Data, "int64_data"],
  [TENSOR.field.doubleData, "double_data"],
  [TENSOR.field.uint64Data, "uint64_data"],
])

interface Fields {
  name: string
  dataType: number
  dataLocation: number
  strings: number
  stringBytes: number
  raw: Span | null
  values: ValueList | null
  readonly dims: number[]
  readonly external: Entry[]
}

async function readFields(reader: WireReader, scope: Scope): Promise<Fields> {
  const { field } = TENSOR
  const seen: Fields = {
    name: "",
    dataType: 0,
    dataLocation: DEFAULT,
    strings: 0,
    stringBytes: 0,
    raw: null,
    values: null,
    dims: [],
    external: [],
  }
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    const number = reader.next(scope)
    const valueField = VALUE_FIELDS.get(number)
    if (valueField !== undefined) {
      addValues(seen, valueField, reader, scope)
      continue
    }
    switch (number) {
      case field.name:
        seen.name = await reader.text()
        break
      case field.dims:
        await readDims(reader, scope, seen.dims)
        break
      case field.dataType:
        seen.dataType = reader.integer()
        break
      case field.rawData:
        if (reader.length > 0) seen.raw = reader.span
        break
      case field.stringData:
        seen.strings += 1
        seen.stringBytes += reader.length
        break
      case field.dataLocation:
        seen.dataLocation = reader.integer()
        break
      case field.externalData:
        if (seen.external.length >= MAX_EXTERNAL_ENTRIES)
          throw malformed(scope.at, `more than ${MAX_EXTERNAL_ENTRIES} external data entries`)
        seen.external.push(await readEntry(reader, scope))
        break
      case field.segment:
        throw malformed(scope.at, "a tensor in segments")
    }
  }
  return seen
}

function addValues(seen: Fields, field: ValueField, reader: WireReader, scope: Scope): void {
  if (reader.isBlock && reader.length === 0) return
  seen.values ??= newList(field)
  if (seen.values.field !== field) throw malformed(scope.at, `values in ${seen.values.field} and in ${field}`)
  addField(seen.values, reader, scope)
}

function locateValues(
  seen: Fields,
  dataType: DataType,
  elementCount: number,
  byteLength: number,
  at: number,
): TensorStorage {
  const { raw, values, dataLocation } = seen
  const places = Number(raw !== null) + Number(values !== null) + Number(dataLocation === EXTERNAL)
  if (places > 1) throw malformed(at, "a tensor with its values in two places")
  if (dataLocation === EXTERNAL) return toExternalStorage(seen.external, byteLength, at)
  if (dataLocation !== DEFAULT) throw malformed(at, `the unknown data location ${dataLocation}`)
  if (raw !== null) {
    if (raw.length !== byteLength)
      throw malformed(at, `raw_data of ${raw.length} bytes instead of ${byteLength}`)
    return { kind: "raw", ...raw }
  }
  if (values !== null) {
    if (values.field !== valueFieldOf(dataType))
      throw malformed(at, `${values.field} for the type ${dataType}`)
    checkCount(values, fieldValues(dataType, elementCount), at)
  } else if (elementCount > 0) throw malformed(at, "a tensor without its values")
  return (values === null ? null : storageOf(values, at)) ?? { kind: "empty" }
}

function checkStrings(seen: Fields, elementCount: number, at: number): void {
  if (seen.raw !== null || seen.values !== null || seen.dataLocation === EXTERNAL)
    throw malformed(at, "a tensor of texts outside of string_data")
  if (seen.strings !== elementCount) throw malformed(at, `${seen.strings} texts instead of ${elementCount}`)
}
