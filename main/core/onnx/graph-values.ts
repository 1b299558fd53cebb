/** Who makes and who uses a value, across subgraphs (which see the names around them) and calls of the model's functions. */
import type { ModelGraph } from "./model-index.ts"
import type { NodeEntry } from "./node.ts"
import type { TensorEntry } from "./walk.ts"

/** A value by the graph that defines it: the same name may stand for different values in different graphs. */
export interface ValuePlace {
  readonly path: string
  readonly name: string
}

/** One use of a value: input `input` of `node`. */
export interface ValueUse {
  readonly node: NodeEntry
  readonly input: number
}

export class GraphValues {
  readonly #defined = new Set<string>()
  readonly #tensors = new Map<string, TensorEntry>()
  readonly #uses = new Map<string, ValueUse[]>()
  readonly #makers = new Map<string, NodeEntry>()
  readonly #outputs = new Set<string>()
  readonly #functions = new Map<string, { readonly path: string; readonly inputs: readonly string[] }>()

  constructor(graph: ModelGraph) {
    for (const tensor of graph.tensors) {
      if (tensor.kind !== "initializer" && tensor.kind !== "constant") continue
      this.#defined.add(keyOf(tensor))
      this.#tensors.set(keyOf(tensor), tensor)
    }
    for (const { path, inputs } of graph.graphs)
      for (const name of inputs) this.#defined.add(keyOf({ path, name }))
    for (const node of graph.nodes)
      for (const name of node.outputs) {
        this.#defined.add(keyOf({ path: node.path, name }))
        this.#makers.set(keyOf({ path: node.path, name }), node)
      }
    for (const node of graph.nodes) {
      node.inputs.forEach((name, input) => {
        if (name === "") return
        const key = keyOf(this.resolve({ path: node.path, name }))
        const uses = this.#uses.get(key)
        if (uses === undefined) this.#uses.set(key, [{ node, input }])
        else uses.push({ node, input })
      })
    }
    for (const { path, outputs } of graph.graphs)
      for (const name of outputs) this.#outputs.add(keyOf(this.resolve({ path, name })))
    for (const { domain, name, path } of graph.functions) {
      const inputs = graph.graphs.find((candidate) => candidate.path === path)?.inputs ?? []
      this.#functions.set(`${domain}\n${name}`, { path, inputs })
    }
  }

  /** The value a name stands for where it is used: defined there or in a graph around it. */
  resolve(place: ValuePlace): ValuePlace {
    for (let path = place.path; ; path = path.slice(0, path.lastIndexOf("/node["))) {
      if (this.#defined.has(keyOf({ path, name: place.name }))) return { path, name: place.name }
      if (!path.includes("/node[")) return place
    }
  }

  /** The initializer or constant a name stands for where it is used, or `null`. */
  tensor(place: ValuePlace): TensorEntry | null {
    return this.#tensors.get(keyOf(this.resolve(place))) ?? null
  }

  /** The node whose output the value is; `null` for inputs and initializers. */
  maker(place: ValuePlace): NodeEntry | null {
    return this.#makers.get(keyOf(place)) ?? null
  }

  uses(place: ValuePlace): readonly ValueUse[] {
    return this.#uses.get(keyOf(place)) ?? []
  }

  /** True for a value that leaves its graph as an output. */
  isOutput(place: ValuePlace): boolean {
    return this.#outputs.has(keyOf(place))
  }

  /** The value inside a function of the model that input `input` of a call of it becomes; `null` for any other node. */
  parameter({ node, input }: ValueUse): ValuePlace | null {
    const called = this.#functions.get(`${node.domain}\n${node.opType}`)
    const name = called?.inputs[input]
    return called === undefined || name === undefined ? null : { path: called.path, name }
  }
}

function keyOf({ path, name }: ValuePlace): string {
  return `${path}\n${name}`
}
