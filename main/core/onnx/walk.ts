import type { NodeEntry } from "./node.ts"
import type { Tensor } from "./tensor.ts"
import type { WireReader } from "./wire.ts"

/** A tensor of the model: what it is, and where its values stand. */
export interface TensorEntry extends Tensor {
  /** Name of the value in its graph: of a constant the output of its node, of an attribute the tensor's own name. */
  readonly name: string
  /**
   * The graph it belongs to: "graph", "graph/node[12:If].then_branch", "function[domain:name]", "training[0].algorithm".
   * A tensor in an attribute has the path of the attribute: "graph/node[3:ConstantOfShape].value".
   */
  readonly path: string
  /**
   * `constant` is the value of a Constant node; `sparse` the non-zero values of a sparse tensor, followed by an entry of
   * the same name for its indices; `attribute` any other tensor in a node or function.
   */
  readonly kind: "initializer" | "constant" | "sparse" | "sparse-indices" | "attribute"
}

/** How often an operator is used, in the graph, its subgraphs and the functions of the model. */
export interface OperatorCount {
  /** "" is the operator set of ONNX itself, also where the model spells it "ai.onnx". */
  readonly domain: string
  readonly opType: string
  readonly count: number
}

/** Names that bind a graph, subgraph or function to what is around it. */
export interface GraphEntry {
  readonly path: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

/** The index while it grows. */
export interface Walk {
  readonly reader: WireReader
  readonly tensors: TensorEntry[]
  readonly operators: Map<string, { readonly domain: string; readonly opType: string; count: number }>
  /** `null` when nobody asked for the nodes. */
  readonly nodes: NodeEntry[] | null
  readonly graphs: GraphEntry[]
}

export function newWalk(reader: WireReader, keepsNodes: boolean): Walk {
  return {
    reader,
    tensors: [],
    operators: new Map(),
    nodes: keepsNodes ? [] : null,
    graphs: [],
  }
}

/** Keeps a tensor and returns its place in the index. */
export function addTensor(
  walk: Walk,
  tensor: Tensor,
  place: Pick<TensorEntry, "name" | "path" | "kind">,
): number {
  walk.reader.keep(TENSOR_COST)
  return walk.tensors.push({ ...tensor, ...place }) - 1
}

export function countOperator(walk: Walk, domain: string, opType: string): void {
  const key = `${domain}\n${opType}`
  const operator = walk.operators.get(key)
  if (operator === undefined) {
    walk.reader.keep(OPERATOR_COST)
    walk.operators.set(key, { domain, opType, count: 1 })
  } else operator.count += 1
}

/** Bytes in memory, estimated. */
const TENSOR_COST = 512
const OPERATOR_COST = 256
