/**
 * Channel groups: axes of the model that are one and the same, because an operator between them works channel by channel.
 * Whoever permutes or scales the channels of one must do the same to all (WATERMARK 4, step 4).
 */
import type { NodeEntry } from "../../onnx/node.ts"
import type { DraftLayer } from "./layer.ts"
import type { Layer, Network } from "./network.ts"

export interface Group {
  readonly channels: number
  /** Layers that make these channels (rows), and layers that read them. */
  readonly producers: readonly number[]
  readonly consumers: readonly number[]
  /** Channels of the model's input: they cannot be exchanged without everybody's noticing. */
  readonly isInput: boolean
}

/** Operators that mix or cut channels, so that what comes out is an axis of its own. */
const MIXING: ReadonlySet<string> = new Set([
  "MatMul",
  "Gemm",
  "Conv",
  "ConvTranspose",
  "Concat",
  "Split",
  "Slice",
  "Gather",
  "GatherND",
  "GatherElements",
  "DepthToSpace",
  "SpaceToDepth",
  "Tile",
  "TopK",
  "ArgMax",
  "ArgMin",
  "NonZero",
  "Shape",
  "Einsum",
  "LSTM",
  "GRU",
  "RNN",
  "If",
  "Loop",
  "Scan",
])

/** Union-find over value names while a graph is walked. */
export class ChannelGroups {
  readonly #parent: number[] = []
  readonly #byName = new Map<string, number>()
  readonly #ports: { readonly layer: number; readonly input: number; readonly output: number }[] = []
  readonly #inputs = new Map<number, number | null>()

  addInput(name: string, channels: number | null): void {
    this.#inputs.set(this.#of(name), channels)
  }

  addLayer(layer: number, from: string, to: string): void {
    this.#ports.push({ layer, input: this.#of(from), output: this.#of(to) })
  }

  /** `active`: the operator's inputs that are no constants. */
  addOperator(node: NodeEntry, active: readonly string[], outputs: readonly string[]): void {
    if (isMixing(node) || active.length === 0) return
    const [first, ...more] = [...active, ...outputs].map((name) => this.#of(name))
    for (const other of more) if (first !== undefined) this.#join(first, other)
  }

  toNetwork(drafts: readonly DraftLayer[]): Network {
    const groups: { channels: number; producers: number[]; consumers: number[]; isInput: boolean }[] = []
    const known = new Map<number, number>()
    const newGroup = (channels: number, isInput = false) =>
      groups.push({ channels, producers: [], consumers: [], isInput }) - 1
    // Producers say how many channels there are; where two disagree, an operator was misunderstood: the later stands alone.
    const outputs = this.#ports.map(({ layer, output }) => {
      const rows = drafts[layer]?.rows ?? 0
      const root = this.#find(output)
      const group = known.get(root)
      if (group !== undefined && groups[group]?.channels === rows) return group
      const made = newGroup(rows)
      if (group === undefined) known.set(root, made)
      return made
    })
    for (const [name, channels] of this.#inputs) {
      const root = this.#find(name)
      if (!known.has(root) && channels !== null) known.set(root, newGroup(channels, true))
    }
    const inputs = this.#ports.map(({ layer, input }) => {
      const draft = drafts[layer]
      if (draft === undefined) return 0
      const root = this.#find(input)
      const columns = draft.inputs / draft.taps
      const group = known.get(root)
      // A row reads every channel as often as the axis between was flattened: a whole number of times.
      const channels = group === undefined ? 0 : (groups[group]?.channels ?? 0)
      const fits = !draft.isGrouped && channels > 0 && columns % channels === 0
      if (group !== undefined && fits) return group
      const isInput = [...this.#inputs.keys()].some((name) => this.#find(name) === root)
      const made = newGroup(columns, isInput)
      if (group === undefined && !draft.isGrouped) known.set(root, made)
      return made
    })
    const layers = drafts.map((draft, index): Layer => {
      const port = this.#ports.findIndex(({ layer }) => layer === index)
      const [input, output] = [inputs[port] ?? 0, outputs[port] ?? 0]
      groups[input]?.consumers.push(index)
      groups[output]?.producers.push(index)
      const { tensor, rows, inputs: size, weights, bias, factor, places, isQuantised } = draft
      return { tensor, rows, inputs: size, weights, bias, factor, places, isQuantised, input, output }
    })
    return { layers, groups }
  }

  #of(name: string): number {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const made = this.#parent.push(this.#parent.length) - 1
    this.#byName.set(name, made)
    return made
  }

  #find(name: number): number {
    let root = name
    while (this.#parent[root] !== root) root = this.#parent[root] ?? root
    for (let at = name; at !== root;) {
      const next = this.#parent[at] ?? root
      this.#parent[at] = root
      at = next
    }
    return root
  }

  #join(a: number, b: number): void {
    this.#parent[this.#find(b)] = this.#find(a)
  }
}

function isMixing(node: NodeEntry): boolean {
  return node.domain !== "" || MIXING.has(node.opType)
}
