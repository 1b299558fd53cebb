/** Conversions: other number formats, layouts, names and orders, as converters and graph optimisers make them. */
import { toFloat16 } from "../../../main/core/bytes/float16.ts"
import {
  BFLOAT16,
  bytesTensor,
  floatTensor,
  FLOAT16,
  floatValue,
  INT8,
  intAttribute,
  intsAttribute,
  intValue,
  newNode,
  tensorNamed,
  withoutAttribute,
  type EditorModel,
  type EditorTensor,
} from "./onnx-editor.ts"
import type { Dice } from "./random.ts"
import { weightsOf } from "./weights.ts"

/** Stores every float tensor in half precision and casts it back in the graph. */
export function toHalf(model: EditorModel): void {
  narrow(model, FLOAT16, (values) => new Uint8Array(Uint16Array.from(values, toFloat16).buffer))
}

/** The same in bfloat16, rounded to nearest. */
export function toBfloat16(model: EditorModel): void {
  narrow(model, BFLOAT16, (values) => {
    const words = new Uint32Array(values.slice().buffer)
    const halves = Uint16Array.from(words, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16)
    return new Uint8Array(halves.buffer)
  })
}

function narrow(model: EditorModel, type: number, encode: (values: Float32Array) => Uint8Array): void {
  const casts = model.tensors.flatMap((tensor) => {
    if (tensor.values === null || tensor.type !== 1) return []
    const original = tensor.name
    const raw = encode(tensor.values)
    Object.assign(tensor, { name: `${original}_narrow`, type, values: null, raw })
    return [newNode("Cast", [tensor.name], [original], [intAttribute("to", 1)])]
  })
  model.nodes.unshift(...casts)
}

/** Symmetric quantisation of all layer weights to `bits`, with a scale a row or one a tensor; DequantizeLinear undoes it. */
export function quantise(model: EditorModel, bits: number, isPerRow: boolean): void {
  const limit = 2 ** (bits - 1) - 1
  for (const { tensor, values, rowAxis, rows, rowOf } of weightsOf(model)) {
    const largest = new Float32Array(isPerRow ? rows : 1)
    values.forEach((value, i) => {
      const slot = isPerRow ? rowOf(i) : 0
      largest[slot] = Math.max(largest[slot] ?? 0, Math.abs(value))
    })
    const scales = largest.map((most) => (most === 0 ? 1 : most / limit))
    const steps = Int8Array.from(values, (value, i) =>
      Math.round(value / (scales[isPerRow ? rowOf(i) : 0] ?? 1)),
    )
    const name = tensor.name
    Object.assign(tensor, { name: `${name}_q`, type: INT8, values: null, raw: new Uint8Array(steps.buffer) })
    const dims = isPerRow ? [rows] : []
    model.tensors.push(
      floatTensor(`${name}_scale`, dims, scales),
      bytesTensor(`${name}_zero`, dims, INT8, new Uint8Array(scales.length)),
    )
    const inputs = [`${name}_q`, `${name}_scale`, `${name}_zero`]
    model.nodes.unshift(newNode("DequantizeLinear", inputs, [name], [intAttribute("axis", rowAxis)]))
  }
}

/** Gives all tensors, nodes and inner values meaningless names. Inputs and outputs of the model keep theirs. */
export function rename(model: EditorModel, keep: ReadonlySet<string>, dice: Dice): void {
  const names = new Map<string, string>()
  const renamed = (name: string) => {
    if (name === "" || keep.has(name)) return name
    const known = names.get(name) ?? `x${dice.below(2 ** 31)}_${names.size}`
    names.set(name, known)
    return known
  }
  for (const tensor of model.tensors) tensor.name = renamed(tensor.name)
  for (const node of model.nodes) {
    node.name = ""
    node.inputs = node.inputs.map(renamed)
    node.outputs = node.outputs.map(renamed)
  }
}

/** Puts tensors in any order and nodes in another order of computation. */
export function reorder(model: EditorModel, dice: Dice): void {
  model.tensors = Array.from(dice.permutation(model.tensors.length), (i) => model.tensors[i]).filter(
    (tensor) => tensor !== undefined,
  )
  const made = new Set(model.nodes.flatMap(({ outputs }) => outputs))
  const open = [...model.nodes]
  const out: typeof open = []
  while (open.length > 0) {
    const ready = open.filter((node) => node.inputs.every((name) => !made.has(name)))
    const next = ready[dice.below(ready.length)]
    if (next === undefined) throw new Error("the graph has a cycle")
    open.splice(open.indexOf(next), 1)
    for (const name of next.outputs) made.delete(name)
    out.push(next)
  }
  model.nodes = out
}

/** Stores the matrix of every Gemm and MatMul the other way round. */
export function transposeMatrices(model: EditorModel): void {
  for (const { tensor, node } of weightsOf(model)) {
    if (tensor.dims.length !== 2 || tensor.values === null) continue
    turn(tensor, [1, 0])
    if (node.opType === "Gemm") {
      const isTurned = intValue(node, "transB") === 1
      withoutAttribute(node, "transB")
      node.attributes.push(intAttribute("transB", isTurned ? 0 : 1))
    } else {
      const stored = `${tensor.name}_turned`
      const original = tensor.name
      tensor.name = stored
      model.nodes.unshift(newNode("Transpose", [stored], [original], [intsAttribute("perm", [1, 0])]))
    }
  }
}

/** Stores kernels as height, width, inputs, outputs, the way TensorFlow does, and turns them in the graph. */
export function storeKernelsLast(model: EditorModel): void {
  for (const { tensor } of weightsOf(model)) {
    if (tensor.dims.length !== 4) continue
    turn(tensor, [2, 3, 1, 0])
    const original = tensor.name
    tensor.name = `${original}_hwio`
    model.nodes.unshift(
      newNode("Transpose", [tensor.name], [original], [intsAttribute("perm", [3, 2, 0, 1])]),
    )
  }
}

function turn(tensor: EditorTensor, perm: readonly number[]): void {
  const { values, dims } = tensor
  if (values === null) return
  const strides = dims.map((_, axis) => dims.slice(axis + 1).reduce((product, size) => product * size, 1))
  const turned = perm.map((axis) => dims[axis] ?? 1)
  const out = new Float32Array(values.length)
  let at = 0
  const walk = (axis: number, base: number): void => {
    if (axis === perm.length) {
      out[at++] = values[base] ?? 0
      return
    }
    for (let i = 0; i < (turned[axis] ?? 0); i += 1)
      walk(axis + 1, base + i * (strides[perm[axis] ?? 0] ?? 0))
  }
  walk(0, 0)
  tensor.values = out
  tensor.dims = turned
}

/** Folds every BatchNormalization that stands behind a convolution into it. */
export function foldNormalisations(model: EditorModel): void {
  for (const norm of model.nodes.filter(({ opType }) => opType === "BatchNormalization")) {
    const conv = model.nodes.find(({ opType, outputs }) => opType === "Conv" && outputs[0] === norm.inputs[0])
    const kernel = conv === undefined ? null : tensorNamed(model, conv.inputs[1] ?? "")
    if (conv === undefined || kernel === null || kernel.values === null) continue
    const rows = kernel.dims[0] ?? 1
    const [scale, offset, mean, variance] = norm.inputs.slice(1, 5).map((name) => valuesOf(model, name))
    const bias = valuesOf(model, conv.inputs[2] ?? "") ?? new Float32Array(rows)
    if (scale === undefined || offset === undefined || mean === undefined || variance === undefined) continue
    const epsilon = floatValue(norm, "epsilon") ?? 1e-5
    const gain = Float64Array.from(scale, (value, row) => value / Math.sqrt((variance[row] ?? 0) + epsilon))
    const size = kernel.values.length / rows
    kernel.values.forEach((value, i) =>
      kernel.values?.fill(value * (gain[Math.floor(i / size)] ?? 1), i, i + 1),
    )
    const folded = Float32Array.from(
      gain,
      (g, row) => ((bias[row] ?? 0) - (mean[row] ?? 0)) * g + (offset[row] ?? 0),
    )
    model.tensors.push(floatTensor(`${kernel.name}_folded_bias`, [rows], folded))
    conv.inputs = [conv.inputs[0] ?? "", kernel.name, `${kernel.name}_folded_bias`]
    conv.outputs = [...norm.outputs]
    model.nodes.splice(model.nodes.indexOf(norm), 1)
  }
  dropUnused(model)
}

/** Values of a tensor, also behind Identity nodes. */
function valuesOf(model: EditorModel, name: string): Float32Array | undefined {
  const tensor = tensorNamed(model, name)
  if (tensor !== null) return tensor.values ?? undefined
  const maker = model.nodes.find(({ opType, outputs }) => opType === "Identity" && outputs[0] === name)
  return maker === undefined ? undefined : valuesOf(model, maker.inputs[0] ?? "")
}

function dropUnused(model: EditorModel): void {
  const used = new Set(model.nodes.flatMap(({ inputs }) => inputs))
  model.nodes = model.nodes.filter(
    ({ opType, outputs }) => opType !== "Identity" || outputs.some((name) => used.has(name)),
  )
  const still = new Set(model.nodes.flatMap(({ inputs }) => inputs))
  model.tensors = model.tensors.filter(({ name }) => still.has(name))
}
