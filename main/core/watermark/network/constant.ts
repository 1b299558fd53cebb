/**
 * Constant parts of a graph: what a model computes from its own tensors before it sees any input. Converters store a
 * kernel transposed, quantised or renamed and undo that in the graph; here it is undone once.
 */
import type { NodeEntry } from "../../onnx/node.ts"
import type { ModelFiles } from "../../onnx/elements.ts"
import { readValues } from "../../onnx/values.ts"
import type { TensorEntry } from "../../onnx/walk.ts"

/** An array whose elements may stand in another order than its shape says: element (i,j,…) is at i·strides[0] + j·strides[1] + … */
export interface Constant {
  readonly values: Float32Array | Float64Array
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  /**
   * The tensor of the file that the elements are, one for one and in its order, perhaps in another number format; `null`
   * for what was computed from several.
   */
  readonly origin: TensorEntry | null
  /** Whether the elements are steps of a quantised tensor, multiplied out. */
  readonly isQuantised: boolean
}

/** Element counts above which arithmetic on constants is not folded: it is never about a weight's layout. */
const MAX_FOLDED = 2 ** 27

/** Looks up constants by value name, reading tensors when they are first asked for. */
export class Constants {
  readonly #tensors: ReadonlyMap<string, TensorEntry>
  readonly #nodes: ReadonlyMap<string, NodeEntry>
  readonly #open: ModelFiles
  readonly #known = new Map<string, Constant | null>()

  /** `tensors` and `nodes` (by output) of one graph. */
  constructor(
    tensors: ReadonlyMap<string, TensorEntry>,
    nodes: ReadonlyMap<string, NodeEntry>,
    open: ModelFiles,
  ) {
    this.#tensors = tensors
    this.#nodes = nodes
    this.#open = open
  }

  /** The constant a value is, `null` when it depends on an input or on an operator that is not undone here. */
  async find(name: string, depth = 0): Promise<Constant | null> {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    this.#known.set(name, null) // a cycle ends here
    const found = depth > MAX_DEPTH ? null : await this.#compute(name, depth)
    this.#known.set(name, found)
    return found
  }

  async #compute(name: string, depth: number): Promise<Constant | null> {
    const tensor = this.#tensors.get(name)
    if (tensor !== undefined) {
      const values = await readValues(tensor, this.#open)
      if (values === null) return null
      const shape = tensor.dims
      return { values, shape, strides: contiguous(shape), origin: tensor, isQuantised: false }
    }
    const node = this.#nodes.get(name)
    if (node === undefined || node.domain !== "" || node.outputs[0] !== name) return null
    const [first] = node.inputs
    if (first === undefined || !FOLDED.has(node.opType)) return null
    const input = await this.find(first, depth + 1)
    if (input === null || input.values.length > MAX_FOLDED) return null
    const others: (Constant | null)[] = []
    for (const other of node.inputs.slice(1))
      others.push(other === "" ? null : await this.find(other, depth + 1))
    return fold(node, input, others)
  }
}

const MAX_DEPTH = 64

const FOLDED: ReadonlySet<string> = new Set([
  "Identity",
  "Cast",
  "Transpose",
  "Reshape",
  "Flatten",
  "Squeeze",
  "Unsqueeze",
  "DequantizeLinear",
])

function fold(node: NodeEntry, input: Constant, others: readonly (Constant | null)[]): Constant | null {
  switch (node.opType) {
    case "Identity":
    case "Cast":
      return input
    case "Transpose":
      return transpose(input, intsOf(node, "perm"))
    case "DequantizeLinear":
      return dequantise(input, others[0] ?? null, others[1] ?? null, intOf(node, "axis", 1))
    case "Flatten": {
      const axis = intOf(node, "axis", 1)
      const outer = product(input.shape.slice(0, axis))
      return reshape(input, [outer, input.values.length / outer])
    }
    case "Reshape":
      return reshape(input, resolveShape(input, others[0] ?? null))
    case "Squeeze":
    case "Unsqueeze":
      // Only axes of size 1 come and go: consumers look at sizes above 1.
      return input
    default:
      return null
  }
}

export function transpose(input: Constant, perm: readonly number[] | null): Constant | null {
  const order = perm ?? input.shape.map((_, axis) => input.shape.length - 1 - axis)
  const isValid = order.length === input.shape.length && new Set(order).size === order.length
  if (!isValid || order.some((axis) => input.shape[axis] === undefined)) return null
  return {
    ...input,
    shape: order.map((axis) => input.shape[axis] ?? 1),
    strides: order.map((axis) => input.strides[axis] ?? 1),
  }
}

function resolveShape(input: Constant, wanted: Constant | null): readonly number[] | null {
  if (wanted === null) return null
  const sizes = Array.from(wanted.values, (size, axis) => (size === 0 ? (input.shape[axis] ?? 0) : size))
  const known = product(sizes.filter((size) => size !== -1))
  return sizes.map((size) => (size === -1 && known > 0 ? input.values.length / known : size))
}

function reshape(input: Constant, shape: readonly number[] | null): Constant | null {
  if (
    shape === null ||
    product(shape) !== input.values.length ||
    shape.some((size) => !Number.isInteger(size))
  )
    return null
  if (isContiguous(input)) return { ...input, shape, strides: contiguous(shape) }
  const values = input.values.slice()
  let at = 0
  eachPlace(input.shape, input.strides, (place) => {
    values[at++] = input.values[place] ?? 0
  })
  return { values, shape, strides: contiguous(shape), origin: null, isQuantised: false }
}

/** (q - zero point) · scale, with one scale a tensor or one a slice of `axis` (ONNX operators, DequantizeLinear). */
export function dequantise(
  input: Constant,
  scale: Constant | null,
  zeroPoint: Constant | null,
  axis: number,
): Constant | null {
  if (scale === null) return null
  const at = axis < 0 ? axis + input.shape.length : axis
  const slices = scale.values.length
  if (slices > 1 && input.shape[at] !== slices) return null // blocked quantisation is not undone
  const stride = slices > 1 ? (input.strides[at] ?? 1) : 1
  const out = new Float32Array(input.values.length)
  for (let i = 0; i < out.length; i += 1) {
    const slice = slices > 1 ? Math.floor(i / stride) % slices : 0
    const zero = zeroPoint === null ? 0 : (zeroPoint.values[zeroPoint.values.length > 1 ? slice : 0] ?? 0)
    out[i] = ((input.values[i] ?? 0) - zero) * (scale.values[slice] ?? 0)
  }
  return { ...input, values: out, isQuantised: true }
}

function contiguous(shape: readonly number[]): readonly number[] {
  const strides: number[] = []
  let stride = 1
  for (const size of shape.toReversed()) {
    strides.unshift(stride)
    stride *= size
  }
  return strides
}

function isContiguous({ shape, strides }: Constant): boolean {
  const plain = contiguous(shape)
  return shape.every((size, axis) => size === 1 || strides[axis] === plain[axis])
}

/** Calls `visit` with the place of every element, in the order of the shape. */
export function eachPlace(
  shape: readonly number[],
  strides: readonly number[],
  visit: (place: number) => void,
): void {
  const walk = (axis: number, base: number): void => {
    if (axis === shape.length) return visit(base)
    const stride = strides[axis] ?? 0
    for (let i = 0; i < (shape[axis] ?? 0); i += 1) walk(axis + 1, base + i * stride)
  }
  walk(0, 0)
}

export function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * size, 1)
}

export function intOf(node: NodeEntry, name: string, otherwise: number): number {
  const value = node.attributes.find((attribute) => attribute.name === name)?.value
  return value?.kind === "int" ? Number(value.value) : otherwise
}

export function floatOf(node: NodeEntry, name: string, otherwise: number): number {
  const value = node.attributes.find((attribute) => attribute.name === name)?.value
  return value?.kind === "float" ? value.value : otherwise
}

function intsOf(node: NodeEntry, name: string): readonly number[] | null {
  const value = node.attributes.find((attribute) => attribute.name === name)?.value
  return value?.kind === "ints" && value.values !== null ? value.values.map(Number) : null
}
