/** Attacks that leave the function as it is: channels exchanged and rescaled, useless ones added, single ones split. */
import { tensorNamed, type EditorModel, type EditorNode, type EditorTensor } from "./onnx-editor.ts"
import type { Dice } from "./random.ts"
import { weightsOf, type WeightMatrix } from "./weights.ts"

/** An axis of the model and everything that runs along it. */
interface Axis {
  readonly channels: number
  readonly producers: WeightMatrix[]
  readonly consumers: WeightMatrix[]
  /** Vectors of one number a channel (biases, normalisations), or tables whose last axis are the channels. */
  readonly vectors: EditorTensor[]
  /** Biases of producers: scaled with them. */
  readonly biases: EditorTensor[]
  isScalable: boolean
  isGrowable: boolean
  isFixed: boolean
}

const UNARY = new Set([
  "Relu",
  "MaxPool",
  "AveragePool",
  "GlobalAveragePool",
  "Flatten",
  "Identity",
  "Dropout",
])
/** Not homogeneous, so channels can be exchanged but not scaled. */
const CURVED = new Set([
  "Erf",
  "Sigmoid",
  "Tanh",
  "Softmax",
  "LayerNormalization",
  "Gelu",
  "ReduceMean",
  "Transpose",
  "Reshape",
])

/** Computed across channels, or stating how many there are. */
const ACROSS = new Set(["LayerNormalization", "Softmax", "Reshape"])

/** Exchanges the channels of every inner axis, and with `spread` above 0 scales them by log-normal factors where ReLU allows. */
export function permuteChannels(model: EditorModel, dice: Dice, spread = 0): number {
  let axes = 0
  for (const axis of innerAxes(model)) {
    const order = dice.permutation(axis.channels)
    const factors = Float64Array.from(order, () => (axis.isScalable ? Math.exp(spread * dice.normal()) : 1))
    for (const matrix of axis.producers) permuteRows(matrix, order, factors)
    for (const matrix of axis.consumers) permuteColumns(matrix, axis.channels, order, factors)
    for (const tensor of axis.vectors)
      permuteLast(tensor, order, axis.biases.includes(tensor) ? factors : null)
    axes += 1
  }
  return axes
}

/** Channel c of the new order is channel order[c] of the old, times factors[c]. */
function permuteRows(matrix: WeightMatrix, order: Int32Array, factors: Float64Array): void {
  const { values, rowAxis, tensor } = matrix
  const old = values.slice()
  eachAlong(tensor.dims, rowAxis, (i, row, at) => {
    values[i] = (old[at(order[row] ?? 0)] ?? 0) * (factors[row] ?? 1)
  })
}

function permuteColumns(
  matrix: WeightMatrix,
  channels: number,
  order: Int32Array,
  factors: Float64Array,
): void {
  const { values, tensor } = matrix
  const old = values.slice()
  const axis = columnAxis(matrix)
  const block = (tensor.dims[axis] ?? 1) / channels
  eachAlong(tensor.dims, axis, (i, column, at) => {
    const channel = Math.floor(column / block)
    values[i] = (old[at((order[channel] ?? 0) * block + (column % block))] ?? 0) / (factors[channel] ?? 1)
  })
}

function permuteLast(tensor: EditorTensor, order: Int32Array, factors: Float64Array | null): void {
  const { values } = tensor
  if (values === null) return
  const old = values.slice()
  const axis = tensor.dims.lastIndexOf(order.length)
  eachAlong(tensor.dims, axis, (i, channel, at) => {
    values[i] = (old[at(order[channel] ?? 0)] ?? 0) * (factors?.[channel] ?? 1)
  })
}

function columnAxis({ rowAxis, tensor }: WeightMatrix): number {
  return tensor.dims.length > 2 ? 1 : 1 - rowAxis
}

function eachAlong(
  dims: readonly number[],
  axis: number,
  visit: (i: number, index: number, at: (index: number) => number) => void,
): void {
  const stride = dims.slice(axis + 1).reduce((product, size) => product * size, 1)
  const size = dims[axis] ?? 1
  const total = dims.reduce((product, n) => product * n, 1)
  for (let i = 0; i < total; i += 1) {
    const index = Math.floor(i / stride) % size
    const base = i - index * stride
    visit(i, index, (other) => base + other * stride)
  }
}

/** Adds neurons to every inner axis of plain Gemm and Conv layers: useless ones and halves of existing ones in turn. */
export function addNeurons(model: EditorModel, share: number, dice: Dice): number {
  let added = 0
  for (const axis of innerAxes(model)) {
    const count = Math.round(axis.channels * share)
    if (axis.producers.length === 0 || count === 0 || !axis.isGrowable) continue
    const sources = Array.from({ length: count }, () => dice.below(axis.channels))
    for (const matrix of axis.producers) {
      const spread = Math.sqrt(matrix.values.reduce((sum, x) => sum + x * x, 0) / matrix.values.length)
      growAlong(matrix.tensor, matrix.rowAxis, 1, count, (k, copied) =>
        // Even ones are copies of a channel, odd ones noise that nobody listens to.
        k % 2 === 0 ? copied(sources[k] ?? 0) : spread * dice.normal(),
      )
    }
    for (const tensor of axis.vectors)
      growAlong(tensor, tensor.dims.lastIndexOf(axis.channels), 1, count, (k, copied) =>
        copied(sources[k] ?? 0),
      )
    for (const matrix of axis.consumers) {
      const column = columnAxis(matrix)
      const block = (matrix.tensor.dims[column] ?? 1) / axis.channels
      splitOutgoing(matrix, column, block, sources)
    }
    added += count
  }
  return added
}

/** Gives each copy its share of what the neuron it copies sends on; the others send nothing. */
function splitOutgoing(matrix: WeightMatrix, axis: number, block: number, sources: readonly number[]): void {
  const { tensor } = matrix
  const copies = sources.map((source, k) => (k % 2 === 0 ? source : -1))
  const parts = (channel: number) => 1 + copies.filter((source) => source === channel).length
  const stride = tensor.dims.slice(axis + 1).reduce((product, size) => product * size, 1)
  const size = tensor.dims[axis] ?? 1
  const values = tensor.values
  values?.forEach((value, i) => {
    const channel = Math.floor((Math.floor(i / stride) % size) / block)
    values[i] = value / parts(channel)
  })
  growAlong(tensor, axis, block, sources.length, (k, copied, inner) => {
    const source = copies[k] ?? -1
    return source < 0 ? 0 : copied(source * block + inner)
  })
}

/** Appends `count` blocks along an axis; `make` gets a look at what stands at an index of that axis in the same line. */
function growAlong(
  tensor: EditorTensor,
  axis: number,
  block: number,
  count: number,
  make: (k: number, copied: (index: number) => number, inner: number) => number,
): void {
  const { values, dims } = tensor
  if (values === null) return
  const stride = dims.slice(axis + 1).reduce((product, size) => product * size, 1)
  const size = dims[axis] ?? 1
  const grown = size + count * block
  const lines = values.length / size / stride
  const out = new Float32Array(lines * grown * stride)
  for (let line = 0; line < lines; line += 1) {
    for (let index = 0; index < grown; index += 1) {
      for (let i = 0; i < stride; i += 1) {
        const copied = (other: number) => values[(line * size + other) * stride + i] ?? 0
        const extra = index - size
        out[(line * grown + index) * stride + i] =
          extra < 0 ? copied(index) : make(Math.floor(extra / block), copied, extra % block)
      }
    }
  }
  tensor.values = out
  tensor.dims = dims.map((n, i) => (i === axis ? grown : n))
}

/** Axes between layers that may be exchanged without changing what the model computes. */
function innerAxes(model: EditorModel): readonly Axis[] {
  const parent = new Map<string, string>()
  const find = (name: string): string => {
    const next = parent.get(name) ?? name
    return next === name ? name : find(next)
  }
  const join = (a: string, b: string) => parent.set(find(a), find(b))
  const matrices = new Map(weightsOf(model).map((matrix) => [matrix.tensor.name, matrix]))
  const made = new Set(model.nodes.flatMap(({ outputs }) => outputs))
  const isActive = (name: string) => made.has(name) && !isConstantName(model, name)
  const layers = model.nodes.filter((node) => layerMatrix(node, matrices) !== null)

  for (const node of model.nodes) {
    if (layers.includes(node)) continue
    const active = node.inputs.filter(isActive)
    const isKnown =
      UNARY.has(node.opType) ||
      CURVED.has(node.opType) ||
      ["Add", "Sub", "Mul", "Div", "BatchNormalization"].includes(node.opType)
    if (!isKnown) continue
    for (const name of active) join(name, node.outputs[0] ?? "")
  }

  const axes = new Map<string, Axis>()
  const axisOf = (name: string, channels: number): Axis => {
    const root = find(name)
    const known = axes.get(root)
    if (known !== undefined) return known
    const axis: Axis = {
      channels,
      producers: [],
      consumers: [],
      vectors: [],
      biases: [],
      isScalable: true,
      isGrowable: true,
      isFixed: false,
    }
    axes.set(root, axis)
    return axis
  }
  for (const node of layers) {
    const matrix = layerMatrix(node, matrices)
    if (matrix === null) continue
    const axis = axisOf(node.outputs[0] ?? "", matrix.rows)
    axis.producers.push(matrix)
    const bias = tensorNamed(model, node.inputs[2] ?? "")
    if (bias !== null) addVector(axis, bias, true)
  }
  for (const node of layers) {
    const matrix = layerMatrix(node, matrices)
    const axis = axes.get(find(node.inputs.find(isActive) ?? "model input"))
    if (matrix !== null && axis !== undefined) axis.consumers.push(matrix)
  }
  for (const node of model.nodes) {
    if (layers.includes(node)) continue
    const active = node.inputs.filter(isActive)
    const roots = new Set(active.map(find))
    for (const root of roots) {
      const axis = axes.get(root)
      if (axis === undefined) continue
      if (ACROSS.has(node.opType)) axis.isGrowable = false
      if (CURVED.has(node.opType)) axis.isScalable = false
      else if (!UNARY.has(node.opType) && !["Add", "BatchNormalization"].includes(node.opType))
        axis.isScalable = false
      // Where an axis goes on under another name (heads, products of activations), its order matters.
      if (!roots.has(find(node.outputs[0] ?? "")) && node.opType !== "Shape") axis.isFixed = true
      if (node.opType === "Reshape" && !isImageReshape(model, node)) axis.isFixed = true
      for (const name of node.inputs) {
        const tensor = tensorNamed(model, name)
        if (tensor === null || tensor.values === null || !tensor.dims.includes(axis.channels)) continue
        // Behind a normalisation the mean moves with the scale, the variance with its square: left alone, so its gain is scaled.
        addVector(axis, tensor, node.opType === "Add")
      }
      // Exchanging is enough for models whose normalisations were not folded: fold first to scale as well.
      if (node.opType === "BatchNormalization") axis.isScalable = false
    }
  }
  const outputs = new Set(layers.map((node) => find(node.outputs[0] ?? "")))
  const used = new Set(model.nodes.flatMap(({ inputs }) => inputs))
  for (const node of model.nodes)
    for (const name of node.outputs) if (!used.has(name)) outputs.delete(find(name))
  return [...axes]
    .filter(([root, axis]) => outputs.has(root) && !axis.isFixed && axis.consumers.length > 0)
    .map(([, axis]) => axis)
}

function addVector(axis: Axis, tensor: EditorTensor, isBias: boolean): void {
  if (!axis.vectors.includes(tensor)) axis.vectors.push(tensor)
  if (isBias && !axis.biases.includes(tensor)) axis.biases.push(tensor)
}

function layerMatrix(node: EditorNode, matrices: ReadonlyMap<string, WeightMatrix>): WeightMatrix | null {
  if (!["Conv", "Gemm", "MatMul"].includes(node.opType)) return null
  return matrices.get(node.inputs[1] ?? "") ?? null
}

function isConstantName(model: EditorModel, name: string): boolean {
  const maker = model.nodes.find(({ outputs }) => outputs.includes(name))
  if (maker === undefined) return true
  return (
    maker.opType === "Constant" ||
    (maker.opType === "Identity" && tensorNamed(model, maker.inputs[0] ?? "") !== null)
  )
}

/** [batch, channels, positions…] to [batch, channels, positions]: the channels stay an axis. */
function isImageReshape(model: EditorModel, node: EditorNode): boolean {
  const maker = model.nodes.find(({ outputs }) => outputs.includes(node.inputs[0] ?? ""))
  return maker?.opType === "Conv"
}
