import type { Attribute } from "./attribute.ts"
import { countElements, rawBytes, type DataType } from "./data-type.ts"
import { ATTRIBUTE_TYPE, SPARSE_TENSOR, TENSOR } from "./schema.ts"
import { readDims, readTensor, type Tensor } from "./tensor.ts"
import { storageOf } from "./value-list.ts"
import { addTensor, type Walk } from "./walk.ts"
import { malformed, type Scope } from "./wire.ts"

/** Where an attribute stands: in a node or function with `ownerPath`, in a graph with `graphPath`. */
export interface AttributePlace {
  readonly graphPath: string
  readonly ownerPath: string
  /** Output of the Constant node the attribute belongs to; `null` in any other node. */
  readonly constant: string | null
}

/** Adds the tensors in an attribute to the index and returns their places there. Throws what `readTensor` throws. */
export async function addAttributeTensors(
  walk: Walk,
  scope: Scope,
  attribute: Attribute,
  place: AttributePlace,
): Promise<readonly number[]> {
  const { reader } = walk
  const added: number[] = []
  for (const [i, span] of attribute.tensors.entries()) {
    const tensor = await readTensor(reader, reader.enter(scope, TENSOR, span))
    const entry =
      place.constant === null
        ? { name: tensor.name, path: attributePath(attribute, place, i), kind: "attribute" as const }
        : { name: place.constant, path: place.graphPath, kind: "constant" as const }
    added.push(addTensor(walk, tensor, entry))
  }
  for (const [i, span] of attribute.sparseTensors.entries()) {
    const entry =
      place.constant === null
        ? { path: attributePath(attribute, place, i) }
        : { name: place.constant, path: place.graphPath }
    added.push(...(await addSparseTensor(walk, reader.enter(scope, SPARSE_TENSOR, span), entry)))
  }
  if (place.constant !== null) addNumbers(walk, attribute, { name: place.constant, path: place.graphPath })
  return added
}

/**
 * Adds both parts of the sparse tensor in `scope`: the values, named after `place.name` or else after themselves, and the
 * indices. Throws ONNX_MALFORMED when a part is missing, and what `readTensor` throws.
 */
export async function addSparseTensor(
  walk: Walk,
  scope: Scope,
  place: { readonly name?: string; readonly path: string },
): Promise<readonly number[]> {
  const { reader } = walk
  const start = scope.at
  const dims: number[] = []
  let values: Tensor | null = null
  let indices: Tensor | null = null
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case SPARSE_TENSOR.field.values:
        values = await readTensor(reader, reader.enter(scope, TENSOR))
        break
      case SPARSE_TENSOR.field.indices:
        indices = await readTensor(reader, reader.enter(scope, TENSOR))
        break
      case SPARSE_TENSOR.field.dims:
        await readDims(reader, scope, dims)
        break
    }
  }
  if (values === null || indices === null) throw malformed(start, "a sparse tensor without values or indices")
  if (countElements(dims) === null)
    throw malformed(start, `a sparse tensor of the impossible shape [${dims.join(", ")}]`)
  const name = place.name ?? values.name
  return [
    addTensor(walk, values, { name, path: place.path, kind: "sparse" }),
    addTensor(walk, indices, { name, path: place.path, kind: "sparse-indices" }),
  ]
}

/** Path of the i-th tensor or graph of an attribute: numbered when the attribute holds a list. */
export function attributePath(attribute: Attribute, place: AttributePlace, i: number): string {
  const path = `${place.ownerPath}.${attribute.name}`
  return LISTS.has(attribute.type) ? `${path}[${i}]` : path
}

const LISTS: ReadonlySet<number> = new Set([
  ATTRIBUTE_TYPE.tensors,
  ATTRIBUTE_TYPE.sparseTensors,
  ATTRIBUTE_TYPE.graphs,
])

/** Attributes of a Constant node that hold its value as plain numbers (ONNX operators, Constant). */
const CONSTANT_NUMBERS: ReadonlyMap<string, readonly ["f" | "i" | "floats" | "ints", DataType]> = new Map([
  ["value_float", ["f", "FLOAT"]],
  ["value_int", ["i", "INT64"]],
  ["value_floats", ["floats", "FLOAT"]],
  ["value_ints", ["ints", "INT64"]],
])

function addNumbers(walk: Walk, attribute: Attribute, place: { name: string; path: string }): void {
  const numbers = CONSTANT_NUMBERS.get(attribute.name)
  if (numbers === undefined) return
  const [field, dataType] = numbers
  const { count, list } = attribute[field]
  const isScalar = field === "f" || field === "i"
  if (isScalar && count === 0) return // a zero left out by its writer: there is no place to point to
  const tensor: Tensor = {
    name: place.name,
    dataType,
    dims: isScalar ? [] : [count],
    elementCount: count,
    byteLength: rawBytes(dataType, count) ?? 0,
    storage: storageOf(list, walk.reader.fieldOffset) ?? { kind: "empty" },
  }
  addTensor(walk, tensor, { ...place, kind: "constant" })
}
