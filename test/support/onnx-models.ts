/** Pieces of ONNX models, written by hand so that tests may say things no exporter would. Numbers are those of onnx.proto. */
import { readFileSync } from "node:fs"
import path from "node:path"
import { readModelIndex, type ModelGraph, type ModelIndex } from "../../main/core/onnx/model-index.ts"
import { sourceOf } from "../../main/core/bytes/source.ts"
import type { TensorEntry } from "../../main/core/onnx/walk.ts"
import { block, int, join, type Bytes } from "./protobuf.ts"

/** TensorProto.DataType. */
export const TYPE = {
  float: 1,
  uint8: 2,
  int8: 3,
  int64: 7,
  string: 8,
  float16: 10,
  bfloat16: 16,
  double: 11,
  uint64: 13,
} as const

/** A ModelProto of IR version 8 and opset 17 around the fields of a graph. */
export function model(...graph: readonly Bytes[]): Bytes {
  return join(int(1, 8), block(7, ...graph), block(8, int(2, 17)))
}

/** A TensorProto. */
export function tensor(
  name: string,
  type: number,
  dims: readonly number[],
  ...fields: readonly Bytes[]
): Bytes {
  return join(...dims.map((dim) => int(1, dim)), int(2, type), block(8, name), ...fields)
}

/** A model with one initializer "w". */
export function modelWith(type: number, dims: readonly number[], ...fields: readonly Bytes[]): Bytes {
  return model(block(5, tensor("w", type, dims, ...fields)))
}

/** Field GraphProto.node or FunctionProto.node. */
export function node(
  opType: string,
  outputs: readonly string[],
  attributes: readonly Bytes[] = [],
  field = 1,
): Bytes {
  return block(field, ...outputs.map((name) => block(2, name)), block(4, opType), ...attributes)
}

/** Field NodeProto.attribute of an AttributeProto.AttributeType. */
export function attribute(name: string, type: number, ...fields: readonly Bytes[]): Bytes {
  return block(5, block(1, name), ...fields, int(20, type))
}

/** Fields of TensorProto for values in an external file. */
export function external(entries: Readonly<Record<string, string>>): Bytes {
  const fields = Object.entries(entries).map(([key, value]) => block(13, block(1, key), block(2, value)))
  return join(...fields, int(14, 1))
}

export function indexOf(bytes: Uint8Array): Promise<ModelIndex> {
  return readModelIndex(sourceOf(bytes))
}

export function graphOf(bytes: Uint8Array): Promise<ModelGraph> {
  return readModelIndex(sourceOf(bytes), { nodes: true })
}

/** The only tensor of a model. */
export async function tensorOf(bytes: Uint8Array): Promise<TensorEntry> {
  const { tensors } = await indexOf(bytes)
  const [only] = tensors
  if (only === undefined || tensors.length !== 1) throw new Error(`${tensors.length} tensors`)
  return only
}

/** Bytes of a file of the corpus, `name` as in "fashion-cnn.onnx". */
export function corpusFile(name: string): Uint8Array {
  return readFileSync(path.join(CORPUS, "models", name))
}

export const CORPUS = path.resolve(import.meta.dirname, "../models")
