/**
 * The part of onnx.proto (IR version 13) this reader understands: field numbers and how their values stand on the wire.
 * Source: https://github.com/onnx/onnx, onnx/onnx.proto. Fields that are absent here are skipped whatever they hold.
 */

/** Encoding of a field. A plural may stand any number of times, and its numbers also packed; a singular stands once. */
export type Encoding = "varint" | "varints" | "fixed32" | "fixed32s" | "fixed64s" | "block" | "blocks"

export interface Message<Name extends string = string> {
  /** What the message is called in error messages. */
  readonly what: string
  readonly field: Readonly<Record<Name, number>>
  /** Encoding by field number; a hole is a field we skip. */
  readonly encodings: readonly (Encoding | undefined)[]
}

export const MODEL = message("model", {
  irVersion: [1, "varint"],
  producerName: [2, "block"],
  producerVersion: [3, "block"],
  domain: [4, "block"],
  modelVersion: [5, "varint"],
  docString: [6, "block"],
  graph: [7, "block"],
  opsetImport: [8, "blocks"],
  metadataProps: [14, "blocks"],
  trainingInfo: [20, "blocks"],
  functions: [25, "blocks"],
})

export const OPSET_IMPORT = message("operator set import", { domain: [1, "block"], version: [2, "varint"] })

/** StringStringEntryProto, ONNX's map entry. */
export const ENTRY = message("entry", { key: [1, "block"], value: [2, "block"] })

export const TRAINING_INFO = message("training info", {
  initialization: [1, "block"],
  algorithm: [2, "block"],
})

export const GRAPH = message("graph", {
  node: [1, "blocks"],
  name: [2, "block"],
  initializer: [5, "blocks"],
  input: [11, "blocks"],
  output: [12, "blocks"],
  sparseInitializer: [15, "blocks"],
})

export const FUNCTION = message("function", {
  name: [1, "block"],
  input: [4, "blocks"],
  output: [5, "blocks"],
  node: [7, "blocks"],
  domain: [10, "block"],
  attributeProto: [11, "blocks"],
  overload: [13, "block"],
})

export const NODE = message("node", {
  input: [1, "blocks"],
  output: [2, "blocks"],
  name: [3, "block"],
  opType: [4, "block"],
  attribute: [5, "blocks"],
  domain: [7, "block"],
})

export const ATTRIBUTE = message("attribute", {
  name: [1, "block"],
  f: [2, "fixed32"],
  i: [3, "varint"],
  s: [4, "block"],
  t: [5, "block"],
  g: [6, "block"],
  floats: [7, "fixed32s"],
  ints: [8, "varints"],
  strings: [9, "blocks"],
  tensors: [10, "blocks"],
  graphs: [11, "blocks"],
  type: [20, "varint"],
  refAttrName: [21, "block"],
  sparseTensor: [22, "block"],
  sparseTensors: [23, "blocks"],
})

export const TENSOR = message("tensor", {
  dims: [1, "varints"],
  dataType: [2, "varint"],
  segment: [3, "block"],
  floatData: [4, "fixed32s"],
  int32Data: [5, "varints"],
  stringData: [6, "blocks"],
  int64Data: [7, "varints"],
  name: [8, "block"],
  rawData: [9, "block"],
  doubleData: [10, "fixed64s"],
  uint64Data: [11, "varints"],
  externalData: [13, "blocks"],
  dataLocation: [14, "varint"],
})

export const SPARSE_TENSOR = message("sparse tensor", {
  values: [1, "block"],
  indices: [2, "block"],
  dims: [3, "varints"],
})

export const VALUE_INFO = message("value", { name: [1, "block"], type: [2, "block"] })

export const TYPE = message("type", {
  tensor: [1, "block"],
  sequence: [4, "block"],
  map: [5, "block"],
  opaque: [7, "block"],
  sparseTensor: [8, "block"],
  optional: [9, "block"],
})

/** TypeProto.Tensor and TypeProto.SparseTensor. */
export const TENSOR_TYPE = message("tensor type", { elemType: [1, "varint"], shape: [2, "block"] })

/** TypeProto.Sequence and TypeProto.Optional. */
export const ELEMENT_TYPE = message("element type", { elemType: [1, "block"] })

export const MAP_TYPE = message("map type", { keyType: [1, "varint"], valueType: [2, "block"] })

export const SHAPE = message("shape", { dim: [1, "blocks"] })

export const DIMENSION = message("dimension", { value: [1, "varint"], param: [2, "block"] })

/** A packed list of numbers: values without tags. */
export const PACKED = message("packed list", {})

/** AttributeProto.AttributeType: what an attribute says it holds. */
export const ATTRIBUTE_TYPE = {
  undefined: 0,
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparseTensor: 11,
  sparseTensors: 12,
  type: 13,
  types: 14,
} as const

function message<Name extends string>(
  what: string,
  fields: Readonly<Record<Name, readonly [number: number, encoding: Encoding]>>,
): Message<Name> {
  const field = {} as Record<Name, number> // filled below with exactly the names of `fields`
  const encodings: (Encoding | undefined)[] = []
  for (const name in fields) {
    const [number, encoding] = fields[name]
    field[name] = number
    encodings[number] = encoding
  }
  return { what, field, encodings }
}
