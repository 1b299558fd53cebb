import type { ByteSource } from "../bytes/source.ts"
import type { DataType } from "./data-type.ts"
import type { FunctionEntry } from "./function.ts"
import { walkModel, type MetadataEntry, type OperatorSet } from "./model.ts"
import type { NodeEntry } from "./node.ts"
import { checkIsModel } from "./recognise.ts"
import type { ValueInfo } from "./value-type.ts"
import { newWalk, type GraphEntry, type OperatorCount, type TensorEntry, type Walk } from "./walk.ts"
import { WireReader } from "./wire.ts"

/** An ONNX model without its weights: what it is, and where every weight stands in the file. */
export interface ModelIndex {
  readonly irVersion: number
  readonly producerName: string
  readonly producerVersion: string
  readonly graphName: string
  readonly operatorSets: readonly OperatorSet[]
  /** What a caller must supply: without inputs that an initializer fills (before IR version 4 those were listed too). */
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  /** Nodes of the graph, its subgraphs and the model's functions. */
  readonly nodeCount: number
  /** Most used first. */
  readonly operators: readonly OperatorCount[]
  /** Domains of used operators that neither stock onnxruntime nor the model itself defines, sorted. */
  readonly customDomains: readonly string[]
  readonly functions: readonly FunctionEntry[]
  readonly metadata: readonly MetadataEntry[]
  /** Elements of the tensors that `isWeight` names. */
  readonly parameterCount: number
  /** In file order, those of a subgraph where it stands. */
  readonly tensors: readonly TensorEntry[]
}

/** A model index with the graph: every node, and the names that bind subgraphs and functions. */
export interface ModelGraph extends ModelIndex {
  /** Nodes of one graph in its order; those of a subgraph before the node that holds it. */
  readonly nodes: readonly NodeEntry[]
  readonly graphs: readonly GraphEntry[]
}

export interface IndexOptions {
  /** Also keep the nodes; off by default, because a large model has far more of them than tensors. */
  readonly nodes?: boolean
}

/**
 * Reads the index of an ONNX model. Only headers are read: tensor values are passed over by position, so time and memory
 * grow with the number of tensors and nodes and not with the size of the file. A model of more than 2 GiB is read like
 * any other; protobuf readers such as onnxruntime refuse one unless its weights are external.
 *
 * Throws ONNX_EMPTY, ONNX_NOT_A_MODEL, ONNX_TRUNCATED, ONNX_MALFORMED, and ONNX_EXTERNAL_OUTSIDE for external data that
 * is not below the model's folder. Whether external files exist and are long enough is for `checkExternalSizes`.
 */
export async function readModelIndex(
  source: ByteSource,
  options: IndexOptions & { readonly nodes: true },
): Promise<ModelGraph>
export async function readModelIndex(source: ByteSource, options?: IndexOptions): Promise<ModelIndex>
export async function readModelIndex(
  source: ByteSource,
  options: IndexOptions = {},
): Promise<ModelIndex | ModelGraph> {
  const reader = new WireReader(source)
  await checkIsModel(reader)
  const walk = newWalk(reader, options.nodes ?? false)
  const model = await walkModel(walk)
  const { graph, functions } = model
  const operators = toOperatorCounts(walk)
  const index: ModelIndex = {
    irVersion: model.irVersion,
    producerName: model.producerName,
    producerVersion: model.producerVersion,
    graphName: graph.name,
    operatorSets: model.operatorSets,
    inputs: withoutInitializers(graph.inputs, walk.tensors),
    outputs: graph.outputs,
    nodeCount: operators.reduce((sum, { count }) => sum + count, 0),
    operators,
    customDomains: findCustomDomains(operators, functions),
    functions,
    metadata: model.metadata,
    parameterCount: countParameters(walk.tensors),
    tensors: walk.tensors,
  }
  return walk.nodes === null ? index : { ...index, nodes: walk.nodes, graphs: walk.graphs }
}

/**
 * True for a tensor that holds weights rather than the arithmetic around them. INT64 is for shapes, axes and indices, and a
 * constant of a single element is an epsilon, an axis or a factor of the graph.
 */
export function isWeight(tensor: TensorEntry): boolean {
  if (NO_WEIGHTS.has(tensor.dataType)) return false
  if (tensor.kind === "constant") return tensor.elementCount > 1
  return tensor.kind === "initializer" || tensor.kind === "sparse"
}

const NO_WEIGHTS: ReadonlySet<DataType> = new Set(["INT64", "BOOL", "STRING"])

/** True for domains whose operators stock onnxruntime brings along. */
function isStockDomain(domain: string): boolean {
  if (STOCK_DOMAINS.has(domain)) return true
  // onnxruntime-extensions is a library of its own that must be registered first.
  return domain.startsWith("com.microsoft.") && domain !== "com.microsoft.extensions"
}

const STOCK_DOMAINS: ReadonlySet<string> = new Set([
  "",
  "ai.onnx.ml",
  "ai.onnx.training",
  "ai.onnx.preview.training",
  "com.microsoft",
])

function withoutInitializers(
  inputs: readonly ValueInfo[],
  tensors: readonly TensorEntry[],
): readonly ValueInfo[] {
  const filled = new Set(tensors.filter((tensor) => tensor.path === "graph").map(({ name }) => name))
  return inputs.filter(({ name }) => !filled.has(name))
}

function toOperatorCounts(walk: Walk): readonly OperatorCount[] {
  const counts = [...walk.operators.values()]
  return counts.sort(
    (a, b) => b.count - a.count || compare(a.opType, b.opType) || compare(a.domain, b.domain),
  )
}

function findCustomDomains(
  operators: readonly OperatorCount[],
  functions: readonly FunctionEntry[],
): readonly string[] {
  const own = new Set(functions.map(({ domain, name }) => `${domain}\n${name}`))
  const custom = operators.filter(
    ({ domain, opType }) => !isStockDomain(domain) && !own.has(`${domain}\n${opType}`),
  )
  return [...new Set(custom.map(({ domain }) => domain))].sort(compare)
}

function countParameters(tensors: readonly TensorEntry[]): number {
  return tensors.filter(isWeight).reduce((sum, tensor) => sum + tensor.elementCount, 0)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
