/** Linear layers out of nodes: what a Conv, Gemm or MatMul multiplies with, whatever way it is written down. */
import type { NodeEntry } from "../../onnx/node.ts"
import type { TensorEntry } from "../../onnx/walk.ts"
import {
  dequantise,
  eachPlace,
  floatOf,
  intOf,
  product,
  transpose,
  type Constant,
  type Constants,
} from "./constant.ts"

/** A layer while what stands behind it is folded in. */
export interface DraftLayer {
  readonly tensor: TensorEntry | null
  readonly rows: number
  readonly inputs: number
  /** Weights a channel has in a row: the taps of a kernel. */
  readonly taps: number
  readonly weights: Float32Array
  readonly bias: Float64Array
  readonly factor: Float64Array
  readonly places: Uint32Array | null
  readonly isQuantised: boolean
  readonly isGrouped: boolean
  readonly input: string
  readonly output: string
}

/** The layer a node is and the name of the value it reads, `null` when it is none (a depthwise convolution is none either). */
export async function readLayer(
  node: NodeEntry,
  constants: Constants,
): Promise<{ readonly layer: DraftLayer; readonly from: string } | null> {
  const form = await readForm(node, constants)
  if (form === null) return null
  const { kernel, bias, alpha, from, isGrouped } = form
  const [rows = 0, columns = 0] = kernel.shape
  const taps = product(kernel.shape.slice(2))
  if (rows === 0 || columns * taps === 0) return null
  const factor = new Float64Array(rows).fill(alpha)
  const weights = new Float32Array(rows * columns * taps)
  const places = new Uint32Array(weights.length)
  let at = 0
  eachPlace(kernel.shape, kernel.strides, (place) => {
    weights[at] = (kernel.values[place] ?? 0) * alpha
    places[at] = place
    at += 1
  })
  const layer: DraftLayer = {
    tensor: kernel.origin,
    rows,
    inputs: columns * taps,
    taps,
    weights,
    bias: new Float64Array(rows),
    factor,
    places: kernel.origin === null ? null : places,
    isQuantised: kernel.isQuantised,
    isGrouped,
    input: "",
    output: "",
  }
  if (bias !== null) addBias(layer, bias)
  return { layer, from }
}

interface Form {
  /** [rows, columns, taps…]. */
  readonly kernel: Constant
  readonly bias: Constant | null
  readonly alpha: number
  readonly from: string
  readonly isGrouped: boolean
}

async function readForm(node: NodeEntry, constants: Constants): Promise<Form | null> {
  const at = (index: number) => {
    const name = node.inputs[index]
    return name === undefined || name === "" ? null : constants.find(name)
  }
  const from = node.inputs[0] ?? ""
  const groups = intOf(node, "group", 1)
  const conv = (kernel: Constant | null, bias: Constant | null): Form | null => {
    if (kernel === null || kernel.shape.length < 3) return null
    // One channel in, one out: it ties two axes together rather than mixing channels.
    if (groups > 1 && kernel.shape[1] === 1) return null
    return { kernel, bias, alpha: 1, from, isGrouped: groups > 1 }
  }
  const dense = (kernel: Constant | null, bias: Constant | null, alpha = 1): Form | null =>
    kernel === null || kernel.shape.length !== 2 ? null : { kernel, bias, alpha, from, isGrouped: false }

  switch (node.opType) {
    case "Conv":
      return conv(await at(1), await at(2))
    case "FusedConv":
      return conv(await at(1), await at(2))
    case "QLinearConv":
      return conv(await scaled(at(3), at(4), at(5), 0), null)
    case "ConvInteger":
      return conv(await at(1), null)
    case "Gemm": {
      const kernel = await at(1)
      if (intOf(node, "transA", 0) === 1) return null
      const isRowMajor = intOf(node, "transB", 0) === 1
      const turned = kernel === null || isRowMajor ? kernel : transpose(kernel, [1, 0])
      return dense(turned, await at(2), floatOf(node, "alpha", 1))
    }
    case "MatMul":
    case "FusedMatMul":
    case "MatMulInteger":
      return productForm(node, constants, await at(1), await at(0), dense)
    case "QLinearMatMul":
      return productForm(node, constants, await scaled(at(3), at(4), at(5), 1), null, dense)
    default:
      return null
  }
}

/** x·W reads rows from W's columns; W·x, as some converters write, has them already. */
function productForm(
  node: NodeEntry,
  _constants: Constants,
  right: Constant | null,
  left: Constant | null,
  dense: (kernel: Constant | null, bias: Constant | null) => Form | null,
): Form | null {
  if (right !== null && left === null)
    return right.shape.length === 2 ? dense(transpose(right, [1, 0]), null) : null
  if (left === null || right !== null) return null
  const form = dense(left, null)
  return form === null ? null : { ...form, from: node.inputs[1] ?? "" }
}

async function scaled(
  values: Promise<Constant | null> | null,
  scale: Promise<Constant | null> | null,
  zeroPoint: Promise<Constant | null> | null,
  axis: number,
): Promise<Constant | null> {
  const input = await values
  return input === null ? null : dequantise(input, await scale, await zeroPoint, axis)
}

/**
 * Folds every scale, shift and batch normalisation behind the layer into it, as long as nobody else reads what stands
 * between. Returns the name of the value the layer then makes; the nodes folded are added to `done`.
 */
export async function foldIntoLayer(
  layer: DraftLayer,
  node: NodeEntry,
  users: ReadonlyMap<string, readonly (NodeEntry | null)[]>,
  constants: Constants,
  done: Set<NodeEntry>,
): Promise<string> {
  let value = node.outputs[0] ?? ""
  for (;;) {
    const [user, ...more] = users.get(value) ?? []
    if (user === undefined || user === null || more.length > 0) return value
    if (!(await foldOne(layer, user, value, constants))) return value
    done.add(user)
    value = user.outputs[0] ?? ""
  }
}

async function foldOne(
  layer: DraftLayer,
  user: NodeEntry,
  value: string,
  constants: Constants,
): Promise<boolean> {
  if (user.domain !== "") return false
  const isFirst = user.inputs[0] === value
  if (user.opType === "Identity" || user.opType === "Dropout") return true
  if (user.opType === "BatchNormalization") return isFirst && foldNormalisation(layer, user, constants)
  if (!["Add", "Sub", "Mul", "Div"].includes(user.opType)) return false
  const other = await constants.find(user.inputs[isFirst ? 1 : 0] ?? "")
  if (other === null || (!isFirst && (user.opType === "Sub" || user.opType === "Div"))) return false
  const perRow = rowValues(other, layer.rows)
  if (perRow === null) return false
  switch (user.opType) {
    case "Add":
      shift(layer, perRow)
      return true
    case "Sub":
      shift(
        layer,
        perRow.map((x) => -x),
      )
      return true
    case "Mul":
      scaleRows(layer, perRow)
      return true
    default:
      if (perRow.includes(0)) return false
      scaleRows(
        layer,
        perRow.map((x) => 1 / x),
      )
      return true
  }
}

async function foldNormalisation(layer: DraftLayer, node: NodeEntry, constants: Constants): Promise<boolean> {
  const parameters: Float64Array[] = []
  for (const name of node.inputs.slice(1, 5)) {
    const found = await constants.find(name)
    const perRow = found === null ? null : rowValues(found, layer.rows)
    if (perRow === null) return false
    parameters.push(perRow)
  }
  const [scale, offset, mean, variance] = parameters
  if (scale === undefined || offset === undefined || mean === undefined || variance === undefined)
    return false
  const epsilon = floatOf(node, "epsilon", 1e-5)
  const gain = scale.map((value, row) => value / Math.sqrt((variance[row] ?? 0) + epsilon))
  if (!gain.every(Number.isFinite)) return false
  shift(
    layer,
    mean.map((x) => -x),
  )
  scaleRows(layer, gain)
  shift(layer, offset)
  return true
}

/** A constant as one number a row; `null` when it has another shape, such as a mask over positions. */
function rowValues(constant: Constant, rows: number): Float64Array | null {
  const { values, shape } = constant
  if (values.length === 1) return new Float64Array(rows).fill(values[0] ?? 0)
  const large = shape.filter((size) => size > 1)
  return large.length === 1 && large[0] === rows ? Float64Array.from(values) : null
}

function addBias(layer: DraftLayer, bias: Constant): void {
  const perRow = rowValues(bias, layer.rows)
  if (perRow !== null) shift(layer, perRow)
}

function shift(layer: DraftLayer, by: Float64Array): void {
  for (let row = 0; row < layer.rows; row += 1) layer.bias[row] = (layer.bias[row] ?? 0) + (by[row] ?? 0)
}

function scaleRows({ weights, bias, factor, rows, inputs }: DraftLayer, by: Float64Array): void {
  for (let row = 0; row < rows; row += 1) {
    const gain = by[row] ?? 1
    bias[row] = (bias[row] ?? 0) * gain
    factor[row] = (factor[row] ?? 0) * gain
    for (let i = row * inputs; i < (row + 1) * inputs; i += 1) weights[i] = (weights[i] ?? 0) * gain
  }
}
