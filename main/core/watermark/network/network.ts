/**
 * A model as what matters for comparing it with another: its linear layers in one canonical form, and which channels of
 * one are the same axis as which of another. Names, order, number formats and layouts of the file are gone here
 * (WATERMARK 4, step 1).
 */
import type { ModelGraph } from "../../onnx/model-index.ts"
import type { NodeEntry } from "../../onnx/node.ts"
import type { TensorEntry } from "../../onnx/walk.ts"
import type { ValueType } from "../../onnx/value-type.ts"
import type { ModelFiles } from "../../onnx/elements.ts"
import { Constants } from "./constant.ts"
import { ChannelGroups, type Group } from "./groups.ts"
import { foldIntoLayer, readLayer, type DraftLayer } from "./layer.ts"

/** A convolution, Gemm or MatMul with constant weights, everything linear behind it folded in. */
export interface Layer {
  /** The file's tensor whose elements these are; `null` when they were computed from several. */
  readonly tensor: TensorEntry | null
  readonly rows: number
  /** Inputs of a row, channel by channel: rows x inputs weights in C order. */
  readonly inputs: number
  readonly weights: Float32Array
  /** One a row. */
  readonly bias: Float64Array
  /** What folding multiplied each row with: weight = factor · value in the file. */
  readonly factor: Float64Array
  /** Position in the file's tensor of each weight; `null` with `tensor`. */
  readonly places: Uint32Array | null
  /** Whether the file holds steps, which were multiplied out. */
  readonly isQuantised: boolean
  /** Groups (places in `Network.groups`) whose channels it reads and makes. */
  readonly input: number
  readonly output: number
}

export interface Network {
  /** In the order in which the graph computes them. */
  readonly layers: readonly Layer[]
  readonly groups: readonly Group[]
}

/** Reads the network of a model. Throws what reading values throws; a model without linear layers has none here. */
export async function readNetwork(model: ModelGraph, open: ModelFiles): Promise<Network> {
  const drafts: DraftLayer[] = []
  const groups = new ChannelGroups()
  for (const path of pathsOf(model)) await readGraph(model, path, open, drafts, groups)
  return groups.toNetwork(drafts)
}

/** Graphs that are computed: not those for training. Functions are left out, because what they compute depends on the call. */
function pathsOf(model: ModelGraph): readonly string[] {
  const paths = new Set(model.nodes.map(({ path }) => path))
  return [...paths].filter((path) => path === "graph" || path.startsWith("graph/"))
}

async function readGraph(
  model: ModelGraph,
  path: string,
  open: ModelFiles,
  drafts: DraftLayer[],
  groups: ChannelGroups,
): Promise<void> {
  const isVisible = (other: string) => other === path || path.startsWith(`${other}/`)
  const tensors = new Map(
    model.tensors
      .filter(
        (tensor) => (tensor.kind === "initializer" || tensor.kind === "constant") && isVisible(tensor.path),
      )
      .map((tensor) => [tensor.name, tensor]),
  )
  const nodes = inOrder(model.nodes.filter((node) => node.path === path))
  const makers = new Map(
    model.nodes
      .filter((node) => isVisible(node.path) && node.opType !== "Constant")
      .flatMap((node) => node.outputs.map((name) => [name, node] as const)),
  )
  const constants = new Constants(tensors, makers, open)
  const users = usersOf(nodes, model, path)
  const done = new Set<NodeEntry>()
  for (const { name, type } of path === "graph" ? model.inputs : [])
    groups.addInput(key(path, name), channelsOf(type))

  for (const node of nodes) {
    if (done.has(node)) continue
    const draft = await readLayer(node, constants)
    if (draft !== null) {
      drafts.push({ ...draft.layer, input: key(path, draft.from), output: "" })
      const last = await foldIntoLayer(draft.layer, node, users, constants, done)
      groups.addLayer(drafts.length - 1, key(path, draft.from), key(path, last))
      continue
    }
    const active: string[] = []
    for (const name of node.inputs) {
      if (name !== "" && (await constants.find(name)) === null) active.push(key(path, name))
    }
    groups.addOperator(
      node,
      active,
      node.outputs.map((name) => key(path, name)),
    )
  }
}

/** Names are unique within a graph only. */
function key(path: string, name: string): string {
  return `${path}\n${name}`
}

/** The order of computation, whatever order the file has; nodes of a cycle keep their place. */
function inOrder(nodes: readonly NodeEntry[]): readonly NodeEntry[] {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)))
  const visited = new Set<NodeEntry>()
  const out: NodeEntry[] = []
  for (const root of nodes) {
    // Without recursion: a chain of nodes may be as long as the file.
    const stack: { readonly node: NodeEntry; next: number }[] = visited.has(root)
      ? []
      : [{ node: root, next: 0 }]
    visited.add(root)
    while (stack.length > 0) {
      const top = stack.at(-1)
      if (top === undefined) break
      const name = top.node.inputs[top.next]
      top.next += 1
      if (name === undefined) {
        out.push(top.node)
        stack.pop()
        continue
      }
      const maker = makers.get(name)
      if (maker !== undefined && !visited.has(maker)) {
        visited.add(maker)
        stack.push({ node: maker, next: 0 })
      }
    }
  }
  return out
}

/** Who reads each value; a value that leaves its graph has one reader more, so that nothing is folded over it. */
function usersOf(
  nodes: readonly NodeEntry[],
  model: ModelGraph,
  path: string,
): ReadonlyMap<string, readonly (NodeEntry | null)[]> {
  const users = new Map<string, (NodeEntry | null)[]>()
  const add = (name: string, user: NodeEntry | null) => {
    const list = users.get(name)
    if (list === undefined) users.set(name, [user])
    else list.push(user)
  }
  for (const node of nodes) for (const name of node.inputs) add(name, node)
  for (const graph of model.graphs) if (graph.path === path) for (const name of graph.outputs) add(name, null)
  for (const node of model.nodes) {
    if (node.path.startsWith(`${path}/`)) for (const name of node.inputs) add(name, null)
  }
  return users
}

/** The second size of an image input, as far as it is stated. */
function channelsOf(type: ValueType): number | null {
  const size = type.kind === "tensor" && type.shape?.length === 4 ? type.shape[1] : null
  return typeof size === "number" ? size : null
}
