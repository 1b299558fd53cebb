/**
 * Which tensors of a model can carry the mark, decided from the graph alone: never from a key, so that nobody can say the
 * choice was made to fit one. Every tensor that cannot is named with the reason.
 */
import type { DataType } from "../onnx/data-type.ts"
import { GraphValues, type ValuePlace, type ValueUse } from "../onnx/graph-values.ts"
import { isWeight, type ModelGraph } from "../onnx/model-index.ts"
import type { NodeEntry } from "../onnx/node.ts"
import type { TensorEntry } from "../onnx/walk.ts"

/** A tensor that is the weight of a layer, before its values were looked at. */
export interface LayerWeight {
  readonly tensor: TensorEntry
  /** Axis of `tensor.dims` that counts outputs; a row is everything with the same index on it. */
  readonly rowAxis: number
  readonly rows: number
  /** Elements a row. */
  readonly fanIn: number
  readonly form: "float" | "quantised"
  /** Scale and zero point of a quantised tensor: one value, or one a row. `null` scale is 1, `null` zero point 0. */
  readonly scale: TensorEntry | null
  readonly zeroPoint: TensorEntry | null
  /** The BatchNormalization behind the layer, whose factor belongs to the weights (canonical form). */
  readonly norm: BatchNorm | null
}

export interface BatchNorm {
  readonly gamma: TensorEntry
  readonly variance: TensorEntry
  readonly epsilon: number
}

export interface SkippedTensor {
  readonly tensor: TensorEntry
  readonly why: string
}

/** Rows of fewer weights have no spread worth the name. */
const MIN_FAN_IN = 16

const FLOATS: ReadonlySet<DataType> = new Set(["FLOAT", "FLOAT16", "BFLOAT16"])
const STEPS: ReadonlySet<DataType> = new Set(["INT8", "UINT8"])

/** Sorts the weights of a model (`isWeight`) into those of layers and those that carry nothing, both in file order. */
export function findLayerWeights(graph: ModelGraph): {
  readonly weights: readonly LayerWeight[]
  readonly skipped: readonly SkippedTensor[]
} {
  const values = new GraphValues(graph)
  const weights: LayerWeight[] = []
  const skipped: SkippedTensor[] = []
  for (const tensor of graph.tensors) {
    if (!isWeight(tensor)) continue
    const found = judge(values, tensor)
    if (typeof found === "string") skipped.push({ tensor, why: found })
    else weights.push(found)
  }
  return { weights, skipped }
}

/** The layer weight a tensor is, or why it is none. */
function judge(values: GraphValues, tensor: TensorEntry): LayerWeight | string {
  const isFloat = FLOATS.has(tensor.dataType)
  if (tensor.path.startsWith("training[")) return "belongs to a training graph"
  if (tensor.kind === "sparse") return "sparse tensor"
  if (tensor.dims.length < 2) return "bias, scale or vector"
  if (!isFloat && !STEPS.has(tensor.dataType)) return `values of type ${tensor.dataType}`
  const [first, ...others] = findRoles(values, tensor)
  if (first === undefined) return "not used by the graph"
  for (const role of [first, ...others]) if (typeof role === "string") return role
  if (typeof first === "string") return first
  const roles = [first, ...others].filter((role) => typeof role !== "string")
  if (roles.some((role) => role.rowAxis !== first.rowAxis))
    return "rows run along different axes in its layers"
  if (roles.some((role) => role.scale !== first.scale || role.zeroPoint !== first.zeroPoint))
    return "quantised in different ways in its layers"
  const rows = tensor.dims[first.rowAxis] ?? 0
  const fanIn = rows === 0 ? 0 : tensor.elementCount / rows
  if (fanIn < MIN_FAN_IN) return `fan-in of ${fanIn}, below ${MIN_FAN_IN}`
  if (isFloat !== !first.isQuantised) return "values of this type without a scale"
  const fits = (other: TensorEntry | null) =>
    other === null || other.elementCount === 1 || (first.isPerRow && other.elementCount === rows)
  if (!fits(first.scale) || !fits(first.zeroPoint)) return "scales that do not follow its rows"
  // A factor counts only if every layer that uses the tensor has the same one.
  const norm = roles.every((role) => role.norm?.gamma === first.norm?.gamma) ? first.norm : null
  return {
    tensor,
    rowAxis: first.rowAxis,
    rows,
    fanIn,
    form: isFloat ? "float" : "quantised",
    scale: first.scale,
    zeroPoint: first.zeroPoint,
    norm: norm !== null && norm.gamma.elementCount === rows ? norm : null,
  }
}

interface Role {
  readonly rowAxis: number
  readonly isQuantised: boolean
  readonly scale: TensorEntry | null
  readonly zeroPoint: TensorEntry | null
  /** Whether scales of more than one value run along the row axis. */
  readonly isPerRow: boolean
  readonly norm: BatchNorm | null
}

/** A value on its way from the tensor to a layer. */
interface Passage {
  readonly place: ValuePlace
  /** Sizes now, and the axis of the tensor each of them is; -1 where axes were merged or split. */
  readonly dims: readonly number[]
  readonly axes: readonly number[]
  readonly quantisation: {
    readonly scale: TensorEntry
    readonly zeroPoint: TensorEntry | null
    readonly axis: number
  } | null
}

/** What every use of the tensor makes of it: a layer's weight, or in words why it is none. */
function findRoles(values: GraphValues, tensor: TensorEntry): readonly (Role | string)[] {
  const roles: (Role | string)[] = []
  const open: Passage[] = [
    { place: tensor, dims: tensor.dims, axes: tensor.dims.map((_, axis) => axis), quantisation: null },
  ]
  for (let step = 0; open.length > 0; step += 1) {
    if (step > MAX_STEPS) return ["used in more ways than can be followed"]
    const passage = open.pop()
    if (passage === undefined) break
    if (values.isOutput(passage.place)) roles.push("an output of its graph")
    for (const use of values.uses(passage.place)) {
      const onward = passOn(values, passage, use)
      if (onward === null) roles.push(roleOf(values, tensor, passage, use))
      else if (typeof onward === "string") roles.push(onward)
      else open.push(onward)
    }
  }
  return roles
}

/** Uses of one tensor that are followed; a hostile graph could make any number of them. */
const MAX_STEPS = 10_000

/** The value behind a node that only hands it on, the reason why that loses the rows, or `null` for any other node. */
function passOn(values: GraphValues, passage: Passage, use: ValueUse): Passage | string | null {
  const { node } = use
  const inside = values.parameter(use)
  if (inside !== null) return { ...passage, place: inside }
  if (node.domain !== "" || use.input !== 0) return null
  const place = { path: node.path, name: node.outputs[0] ?? "" }
  switch (node.opType) {
    case "Identity":
    case "Cast":
      return { ...passage, place }
    case "Transpose": {
      const permutation =
        intsOf(node, "perm") ?? passage.dims.map((_, axis) => passage.dims.length - 1 - axis)
      if (permutation.length !== passage.dims.length) return "transposed in a way that cannot be followed"
      return {
        ...passage,
        place,
        dims: permutation.map((axis) => passage.dims[axis] ?? 0),
        axes: permutation.map((axis) => passage.axes[axis] ?? -1),
      }
    }
    case "Reshape":
      return reshape(values, passage, node, place)
    case "DequantizeLinear": {
      const scale = values.tensor({ path: node.path, name: node.inputs[1] ?? "" })
      if (scale === null) return "quantised with a scale that is computed"
      if ((intOf(node, "block_size") ?? 0) !== 0) return "quantised in blocks"
      const zeroPoint = values.tensor({ path: node.path, name: node.inputs[2] ?? "" })
      if (zeroPoint === null && (node.inputs[2] ?? "") !== "")
        return "quantised with a zero point that is computed"
      const axis = intOf(node, "axis") ?? 1
      const quantisation = {
        scale,
        zeroPoint,
        axis: passage.axes[axis < 0 ? axis + passage.dims.length : axis] ?? -1,
      }
      return { ...passage, place, quantisation }
    }
    default:
      return null
  }
}

/** The target shape is a constant in every exported model; only INT64 constants of attributes or initializers are taken. */
function reshape(
  values: GraphValues,
  passage: Passage,
  node: NodeEntry,
  place: ValuePlace,
): Passage | string {
  // The shape's values are not read: rows survive a reshape when the layer behind it says so by its rank alone.
  const shape = values.tensor({ path: node.path, name: node.inputs[1] ?? "" })
  const rank = shape?.elementCount ?? intsOf(node, "shape")?.length
  if (rank !== 2 || passage.dims.length <= 2) return "reshaped in a way that cannot be followed"
  // [a, b, c, d] -> [a·b·c, d] or [a, b·c·d]: both keep one end, and which one is told by the layer.
  const [head, tail] = [passage.axes[0] ?? -1, passage.axes.at(-1) ?? -1]
  return { ...passage, place, dims: [passage.dims[0] ?? 0, passage.dims.at(-1) ?? 0], axes: [head, tail] }
}

/** What the node at the end of a passage does with the weight. */
function roleOf(values: GraphValues, tensor: TensorEntry, passage: Passage, use: ValueUse): Role | string {
  const layer = layerOf(passage.dims.length, use)
  if (typeof layer === "string") return layer
  const rowAxis = passage.axes[layer.axis] ?? -1
  if (rowAxis < 0) return "reshaped in a way that loses its rows"
  if (layer.isConvolution && isDepthwise(passage, use.node)) return "depthwise convolution"
  const named = (input: number | null) =>
    input === null ? null : values.tensor({ path: use.node.path, name: use.node.inputs[input] ?? "" })
  if (layer.scaleInput !== null && named(layer.scaleInput) === null)
    return "quantised with a scale that is computed"
  const inline = layer.isQuantised
  return {
    rowAxis,
    isQuantised: inline || passage.quantisation !== null,
    scale: inline ? named(layer.scaleInput) : (passage.quantisation?.scale ?? null),
    zeroPoint: inline ? named(layer.zeroPointInput) : (passage.quantisation?.zeroPoint ?? null),
    isPerRow: inline || passage.quantisation?.axis === rowAxis,
    norm: FLOATS.has(tensor.dataType) ? normBehind(values, use.node) : null,
  }
}

interface Layer {
  /** Axis of the weight (as the layer sees it) that counts outputs. */
  readonly axis: number
  readonly isConvolution: boolean
  readonly isQuantised: boolean
  readonly scaleInput: number | null
  readonly zeroPointInput: number | null
}

/** How a layer uses its weight of rank `rank`; in words what else the node does with the value. */
function layerOf(rank: number, { node, input }: ValueUse): Layer | string {
  const plain = { isConvolution: false, isQuantised: false, scaleInput: null, zeroPointInput: null }
  const last = rank - 1
  switch (node.domain === "" || node.domain === "com.microsoft" ? `${node.opType}:${input}` : "") {
    case "Conv:1":
    case "FusedConv:1":
      return { ...plain, axis: 0, isConvolution: true }
    case "ConvTranspose:1":
      return (intOf(node, "group") ?? 1) === 1 ? { ...plain, axis: 1 } : "grouped transposed convolution"
    case "Gemm:1":
    case "FusedGemm:1":
      return { ...plain, axis: isSet(node, "transB") ? 0 : 1 }
    case "Gemm:0":
    case "FusedGemm:0":
      return { ...plain, axis: isSet(node, "transA") ? 1 : 0 }
    case "MatMul:1":
      return { ...plain, axis: last }
    case "FusedMatMul:1":
      return { ...plain, axis: isSet(node, "transB") ? last - 1 : last }
    case "MatMul:0":
      return { ...plain, axis: last - 1 }
    case "FusedMatMul:0":
      return { ...plain, axis: isSet(node, "transA") ? last : last - 1 }
    case "QLinearConv:3":
      return { ...plain, axis: 0, isConvolution: true, isQuantised: true, scaleInput: 4, zeroPointInput: 5 }
    case "QLinearMatMul:3":
      return { ...plain, axis: last, isQuantised: true, scaleInput: 4, zeroPointInput: 5 }
    case "QGemm:3":
      return {
        ...plain,
        axis: isSet(node, "transB") ? 0 : 1,
        isQuantised: true,
        scaleInput: 4,
        zeroPointInput: 5,
      }
    case "DynamicQuantizeMatMul:1":
      return { ...plain, axis: last, isQuantised: true, scaleInput: 2, zeroPointInput: 3 }
    case "ConvInteger:1":
      return { ...plain, axis: 0, isConvolution: true, isQuantised: true, zeroPointInput: 3 }
    case "MatMulInteger:1":
      return { ...plain, axis: last, isQuantised: true, zeroPointInput: 3 }
    case "Gather:0":
      return "embedding table"
    case "LSTM:1":
    case "LSTM:2":
    case "GRU:1":
    case "GRU:2":
    case "RNN:1":
    case "RNN:2":
      return "packed gates of a recurrent layer"
    default:
      return `used by ${node.opType.slice(0, 40)}, not as the weight of a layer`
  }
}

function isDepthwise({ dims }: Passage, node: NodeEntry): boolean {
  return (intOf(node, "group") ?? 1) > 1 && dims[1] === 1
}

/** The BatchNormalization that is the only user of a layer's output. */
function normBehind(values: GraphValues, layer: NodeEntry): BatchNorm | null {
  const place = { path: layer.path, name: layer.outputs[0] ?? "" }
  const [use, ...more] = values.uses(place)
  if (use === undefined || more.length > 0 || values.isOutput(place)) return null
  const { node, input } = use
  if (node.opType !== "BatchNormalization" || node.domain !== "" || input !== 0) return null
  if ((intOf(node, "training_mode") ?? 0) !== 0) return null
  const gamma = originOf(values, { path: node.path, name: node.inputs[1] ?? "" })
  const variance = originOf(values, { path: node.path, name: node.inputs[4] ?? "" })
  if (gamma === null || variance === null || gamma.elementCount !== variance.elementCount) return null
  if (!FLOATS.has(gamma.dataType) || !FLOATS.has(variance.dataType)) return null
  const epsilon = node.attributes.find(({ name }) => name === "epsilon")?.value
  return { gamma, variance, epsilon: epsilon?.kind === "float" ? epsilon.value : 1e-5 }
}

/** The tensor behind a name, also through Identity nodes: exporters share initializers that way. */
function originOf(values: GraphValues, place: ValuePlace): TensorEntry | null {
  let at = values.resolve(place)
  for (let step = 0; step < MAX_IDENTITIES; step += 1) {
    const tensor = values.tensor(at)
    if (tensor !== null) return tensor
    const maker = values.maker(at)
    if (maker === null || maker.opType !== "Identity" || maker.domain !== "") return null
    at = values.resolve({ path: maker.path, name: maker.inputs[0] ?? "" })
  }
  return null
}

const MAX_IDENTITIES = 16

function intOf(node: NodeEntry, name: string): number | null {
  const value = node.attributes.find((attribute) => attribute.name === name)?.value
  return value?.kind === "int" ? Number(value.value) : null
}

function intsOf(node: NodeEntry, name: string): readonly number[] | null {
  const value = node.attributes.find((attribute) => attribute.name === name)?.value
  return value?.kind === "ints" ? (value.values?.map(Number) ?? null) : null
}

function isSet(node: NodeEntry, name: string): boolean {
  return (intOf(node, name) ?? 0) !== 0
}
