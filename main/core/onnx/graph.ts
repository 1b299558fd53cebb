import { readAttribute } from "./attribute.ts"
import {
  addAttributeTensors,
  addSparseTensor,
  attributePath,
  type AttributePlace,
} from "./attribute-tensors.ts"
import { readNode, toAttributeValue, type NodeAttribute, type NodeOutline } from "./node.ts"
import { ATTRIBUTE, GRAPH, NODE, SPARSE_TENSOR, TENSOR } from "./schema.ts"
import { readTensor } from "./tensor.ts"
import { readValueInfo, type ValueInfo } from "./value-type.ts"
import { addTensor, countOperator, type Walk } from "./walk.ts"
import type { Scope } from "./wire.ts"

/** What a graph says about itself, besides its nodes and tensors. */
export interface GraphFacts {
  readonly name: string
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
}

/** Adds the graph in `scope` and everything nested in it to the index. Throws ONNX_MALFORMED, ONNX_EXTERNAL_OUTSIDE. */
export async function walkGraph(walk: Walk, scope: Scope, path: string): Promise<GraphFacts> {
  const { reader } = walk
  const { field } = GRAPH
  const inputs: ValueInfo[] = []
  const outputs: ValueInfo[] = []
  let name = ""
  let nodeCount = 0
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case field.node:
        await walkNode(walk, reader.enter(scope, NODE), path, nodeCount)
        nodeCount += 1
        break
      case field.initializer: {
        const tensor = await readTensor(reader, reader.enter(scope, TENSOR))
        addTensor(walk, tensor, { name: tensor.name, path, kind: "initializer" })
        break
      }
      case field.sparseInitializer:
        await addSparseTensor(walk, reader.enter(scope, SPARSE_TENSOR), { path })
        break
      case field.input:
        inputs.push(await readValueInfo(reader, scope))
        break
      case field.output:
        outputs.push(await readValueInfo(reader, scope))
        break
      case field.name:
        name = await reader.text()
        break
    }
  }
  addNames(walk, path, inputs.map(nameOf), outputs.map(nameOf))
  return { name, inputs, outputs }
}

/** Adds the node in `scope`, the tensors of its attributes and its subgraphs to the index. */
export async function walkNode(walk: Walk, scope: Scope, path: string, index: number): Promise<void> {
  const { reader, nodes } = walk
  const outline = await readNode(reader, scope, nodes !== null)
  countOperator(walk, outline.domain, outline.opType)
  const place: AttributePlace = {
    graphPath: path,
    ownerPath: `${path}/node[${index}:${outline.opType}]`,
    constant: isConstant(outline) ? (outline.outputs[0] ?? "") : null,
  }
  const attributes: NodeAttribute[] = []
  for (const span of outline.attributes) {
    const attribute = await walkAttribute(walk, reader.enter(scope, ATTRIBUTE, span), place)
    if (nodes !== null) attributes.push(attribute)
  }
  if (nodes === null) return
  reader.keep(NODE_COST)
  const { opType, domain, name, inputs, outputs } = outline
  nodes.push({ opType, domain, name, inputs, outputs, path, index, attributes })
}

/** Adds the tensors and subgraphs of the attribute in `scope` to the index. */
export async function walkAttribute(walk: Walk, scope: Scope, place: AttributePlace): Promise<NodeAttribute> {
  const { reader } = walk
  const attribute = await readAttribute(reader, scope)
  const tensors = await addAttributeTensors(walk, scope, attribute, place)
  const paths: string[] = []
  for (const [i, span] of attribute.graphs.entries()) {
    const path = attributePath(attribute, place, i)
    paths.push(path)
    await walkGraph(walk, reader.enter(scope, GRAPH, span), path)
  }
  return { name: attribute.name, value: toAttributeValue(attribute, tensors, paths) }
}

/** Keeps the names that bind a graph or function to its surroundings, for those who asked for the nodes. */
export function addNames(
  walk: Walk,
  path: string,
  inputs: readonly string[],
  outputs: readonly string[],
): void {
  if (walk.nodes !== null) walk.graphs.push({ path, inputs, outputs })
}

function nameOf(value: ValueInfo): string {
  return value.name
}

function isConstant(node: NodeOutline): boolean {
  return node.opType === "Constant" && node.domain === ""
}

/** Bytes in memory, estimated. */
const NODE_COST = 256
