import { dataTypeOf, type DataType } from "./data-type.ts"
import { DIMENSION, ELEMENT_TYPE, MAP_TYPE, SHAPE, TENSOR_TYPE, TYPE, VALUE_INFO } from "./schema.ts"
import { malformed, type Scope, type WireReader } from "./wire.ts"

/** A fixed size, the name of a size that is settled at run time ("batch"), or `null` for one nobody knows. */
export type Dimension = number | string | null

/** Type of a graph input or output (TypeProto). */
export type ValueType =
  | {
      readonly kind: "tensor" | "sparse_tensor"
      /** UNDEFINED where the model leaves it open. */
      readonly elementType: DataType | "UNDEFINED"
      /** [] is a scalar, `null` a tensor of unknown rank. */
      readonly shape: readonly Dimension[] | null
    }
  | { readonly kind: "sequence" | "optional"; readonly element: ValueType }
  | { readonly kind: "map"; readonly key: DataType | "UNDEFINED"; readonly value: ValueType }
  | { readonly kind: "opaque" }
  /** The model states no type; allowed inside subgraphs. */
  | { readonly kind: "unknown" }

export interface ValueInfo {
  readonly name: string
  readonly type: ValueType
}

/** Reads the current field as a ValueInfoProto. Throws ONNX_MALFORMED. */
export async function readValueInfo(reader: WireReader, parent: Scope): Promise<ValueInfo> {
  const scope = reader.enter(parent, VALUE_INFO)
  reader.keep(TYPE_COST)
  let name = ""
  let type: ValueType = { kind: "unknown" }
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case VALUE_INFO.field.name:
        name = await reader.text()
        break
      case VALUE_INFO.field.type:
        type = await readType(reader, scope)
        break
    }
  }
  return { name, type }
}

/** The fields are one choice (oneof): where several stand, the last one holds. */
async function readType(reader: WireReader, parent: Scope): Promise<ValueType> {
  const { field } = TYPE
  const scope = reader.enter(parent, TYPE)
  reader.keep(TYPE_COST)
  let type: ValueType = { kind: "unknown" }
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case field.tensor:
        type = { kind: "tensor", ...(await readTensorType(reader, scope)) }
        break
      case field.sparseTensor:
        type = { kind: "sparse_tensor", ...(await readTensorType(reader, scope)) }
        break
      case field.sequence:
        type = { kind: "sequence", element: await readElementType(reader, scope) }
        break
      case field.optional:
        type = { kind: "optional", element: await readElementType(reader, scope) }
        break
      case field.map:
        type = { kind: "map", ...(await readMapType(reader, scope)) }
        break
      case field.opaque:
        type = { kind: "opaque" }
        break
    }
  }
  return type
}

async function readTensorType(
  reader: WireReader,
  parent: Scope,
): Promise<{ elementType: DataType | "UNDEFINED"; shape: readonly Dimension[] | null }> {
  const scope = reader.enter(parent, TENSOR_TYPE)
  let elementType: DataType | "UNDEFINED" = "UNDEFINED"
  let shape: readonly Dimension[] | null = null
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case TENSOR_TYPE.field.elemType:
        elementType = toElementType(reader)
        break
      case TENSOR_TYPE.field.shape:
        shape = await readShape(reader, scope)
        break
    }
  }
  return { elementType, shape }
}

async function readElementType(reader: WireReader, parent: Scope): Promise<ValueType> {
  const scope = reader.enter(parent, ELEMENT_TYPE)
  let element: ValueType = { kind: "unknown" }
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    if (reader.next(scope) === ELEMENT_TYPE.field.elemType) element = await readType(reader, scope)
  }
  return element
}

async function readMapType(
  reader: WireReader,
  parent: Scope,
): Promise<{ key: DataType | "UNDEFINED"; value: ValueType }> {
  const scope = reader.enter(parent, MAP_TYPE)
  let key: DataType | "UNDEFINED" = "UNDEFINED"
  let value: ValueType = { kind: "unknown" }
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case MAP_TYPE.field.keyType:
        key = toElementType(reader)
        break
      case MAP_TYPE.field.valueType:
        value = await readType(reader, scope)
        break
    }
  }
  return { key, value }
}

async function readShape(reader: WireReader, parent: Scope): Promise<readonly Dimension[]> {
  const scope = reader.enter(parent, SHAPE)
  const shape: Dimension[] = []
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    if (reader.next(scope) !== SHAPE.field.dim) continue
    if (shape.length >= MAX_RANK) throw malformed(scope.at, `a shape of more than ${MAX_RANK} dimensions`)
    reader.keep(DIMENSION_COST)
    shape.push(await readDimension(reader, scope))
  }
  return shape
}

async function readDimension(reader: WireReader, parent: Scope): Promise<Dimension> {
  const scope = reader.enter(parent, DIMENSION)
  let dimension: Dimension = null
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case DIMENSION.field.value: {
        // Exporters write -1, onnxruntime reads it as "any size".
        const value = reader.integer()
        dimension = value < 0 ? null : value
        break
      }
      case DIMENSION.field.param:
        dimension = (await reader.text()) || null
        break
    }
  }
  return dimension
}

const MAX_RANK = 64
/** Bytes in memory, estimated. */
const TYPE_COST = 128
const DIMENSION_COST = 16

function toElementType(reader: WireReader): DataType | "UNDEFINED" {
  const number = reader.integer()
  if (number === 0) return "UNDEFINED"
  const type = dataTypeOf(number)
  if (type === null) throw malformed(reader.fieldOffset, `the unknown element type ${number}`)
  return type
}
