import { addNames, walkAttribute, walkNode } from "./graph.ts"
import { toDomain } from "./node.ts"
import { ATTRIBUTE, FUNCTION, NODE } from "./schema.ts"
import type { Walk } from "./walk.ts"
import type { Scope } from "./wire.ts"

/** A function that the model brings along; nodes of this domain and operator type call it. */
export interface FunctionEntry {
  readonly domain: string
  readonly name: string
  /** Tells functions of one name apart; mostly empty. */
  readonly overload: string
  readonly path: string
}

/** Adds the function in the current field to the index. Throws ONNX_MALFORMED, ONNX_EXTERNAL_OUTSIDE. */
export async function walkFunction(walk: Walk, parent: Scope): Promise<FunctionEntry> {
  const { reader } = walk
  const span = reader.span
  // Twice, because the domain stands behind the nodes, whose paths need it.
  const entry = await readOutline(walk, reader.enter(parent, FUNCTION, span))
  const scope = reader.enter(parent, FUNCTION, span)
  let nodeCount = 0
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case FUNCTION.field.node:
        await walkNode(walk, reader.enter(scope, NODE), entry.path, nodeCount)
        nodeCount += 1
        break
      case FUNCTION.field.attributeProto:
        await walkAttribute(walk, reader.enter(scope, ATTRIBUTE), {
          graphPath: entry.path,
          ownerPath: entry.path,
          constant: null,
        })
        break
    }
  }
  return entry
}

async function readOutline(walk: Walk, scope: Scope): Promise<FunctionEntry> {
  const { reader } = walk
  const { field } = FUNCTION
  const inputs: string[] = []
  const outputs: string[] = []
  let [domain, name, overload] = ["", "", ""]
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case field.name:
        name = await reader.text()
        break
      case field.domain:
        domain = toDomain(await reader.text())
        break
      case field.overload:
        overload = await reader.text()
        break
      case field.input:
        inputs.push(await reader.text())
        break
      case field.output:
        outputs.push(await reader.text())
        break
    }
  }
  const path = overload === "" ? `function[${domain}:${name}]` : `function[${domain}:${name}:${overload}]`
  addNames(walk, path, inputs, outputs)
  return { domain, name, overload, path }
}
