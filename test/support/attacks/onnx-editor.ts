/** An ONNX model taken apart so far that attacks can change weights, nodes and names, and put together again. */
import { fromFloat16, toFloat16 } from "../../../main/core/bytes/float16.ts"
import { block, int, join, type Bytes } from "../protobuf.ts"

export interface EditorTensor {
  name: string
  dims: number[]
  /** TensorProto.DataType. */
  type: number
  /** Numbers of the float types, widened; `null` for all others. */
  values: Float32Array | null
  /** Bytes of all others, as in raw_data. */
  raw: Uint8Array
}

export interface EditorNode {
  opType: string
  domain: string
  name: string
  inputs: string[]
  outputs: string[]
  /** AttributeProto messages as they stand. */
  attributes: Uint8Array[]
}

export interface EditorModel {
  nodes: EditorNode[]
  tensors: EditorTensor[]
  /** Everything else of the graph and the model, as it stands. */
  readonly graphRest: readonly Uint8Array[]
  readonly modelRest: readonly Uint8Array[]
}

const FLOAT = 1
export const UINT8 = 2
export const INT8 = 3
export const FLOAT16 = 10
export const BFLOAT16 = 16

export function takeApart(bytes: Uint8Array): EditorModel {
  const model: EditorModel = { nodes: [], tensors: [], graphRest: [], modelRest: [] }
  const modelRest: Uint8Array[] = []
  const graphRest: Uint8Array[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.number !== 7) modelRest.push(field.whole)
    else {
      for (const part of fieldsOf(field.value)) {
        if (part.number === 1) model.nodes.push(toNode(part.value))
        else if (part.number === 5) model.tensors.push(toTensor(part.value))
        else graphRest.push(part.whole)
      }
    }
  }
  return { ...model, graphRest, modelRest }
}

export function putTogether({ nodes, tensors, graphRest, modelRest }: EditorModel): Bytes {
  const graph = join(
    ...nodes.map((node) => block(1, writeNode(node))),
    ...tensors.map((tensor) => block(5, writeTensor(tensor))),
    ...graphRest,
  )
  return join(...modelRest, block(7, graph))
}

export function tensorNamed(model: EditorModel, name: string): EditorTensor | null {
  return model.tensors.find((tensor) => tensor.name === name) ?? null
}

/** A float tensor. */
export function floatTensor(name: string, dims: readonly number[], values: Float32Array): EditorTensor {
  return { name, dims: [...dims], type: FLOAT, values, raw: new Uint8Array(0) }
}

export function bytesTensor(
  name: string,
  dims: readonly number[],
  type: number,
  raw: Uint8Array,
): EditorTensor {
  return { name, dims: [...dims], type, values: null, raw }
}

export function newNode(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: readonly Uint8Array[] = [],
): EditorNode {
  return {
    opType,
    domain: "",
    name: "",
    inputs: [...inputs],
    outputs: [...outputs],
    attributes: [...attributes],
  }
}

/** AttributeProto of one integer, or of a list of them. */
export function intAttribute(name: string, value: number): Bytes {
  return join(block(1, name), int(3, value), int(20, 2))
}

export function intsAttribute(name: string, values: readonly number[]): Bytes {
  return join(block(1, name), ...values.map((value) => int(8, value)), int(20, 7))
}

/** Value of an integer attribute, `null` without it. */
export function intValue(node: EditorNode, name: string): number | null {
  const found = node.attributes.find((attribute) => attributeName(attribute) === name)
  const value = found === undefined ? undefined : fieldsOf(found).find(({ number }) => number === 3)
  return value === undefined ? null : Number(value.varint)
}

export function floatValue(node: EditorNode, name: string): number | null {
  const found = node.attributes.find((attribute) => attributeName(attribute) === name)
  const value = found === undefined ? undefined : fieldsOf(found).find(({ number }) => number === 2)
  return value === undefined
    ? null
    : new DataView(value.value.buffer, value.value.byteOffset).getFloat32(0, true)
}

export function withoutAttribute(node: EditorNode, name: string): void {
  node.attributes = node.attributes.filter((attribute) => attributeName(attribute) !== name)
}

function attributeName(attribute: Uint8Array): string {
  return text(fieldsOf(attribute).find(({ number }) => number === 1)?.value ?? new Uint8Array(0))
}

interface Field {
  readonly number: number
  readonly whole: Uint8Array
  readonly value: Uint8Array
  readonly varint: bigint
}

function fieldsOf(bytes: Uint8Array): readonly Field[] {
  const fields: Field[] = []
  for (let at = 0; at < bytes.length;) {
    const start = at
    const tag = readVarint(bytes, at)
    const number = Number(tag.value >> 3n)
    const wireType = Number(tag.value & 7n)
    at = tag.end
    let value: Uint8Array = new Uint8Array(0)
    let varint = 0n
    if (wireType === 0) {
      const read = readVarint(bytes, at)
      varint = read.value
      at = read.end
    } else {
      const size =
        wireType === 1
          ? { value: 8n, end: at }
          : wireType === 5
            ? { value: 4n, end: at }
            : readVarint(bytes, at)
      at = size.end + Number(size.value)
      value = bytes.subarray(size.end, at)
    }
    fields.push({ number, whole: bytes.subarray(start, at), value, varint })
  }
  return fields
}

function readVarint(bytes: Uint8Array, start: number): { readonly value: bigint; readonly end: number } {
  let value = 0n
  for (let at = start, shift = 0n; ; at += 1, shift += 7n) {
    const byte = bytes[at] ?? 0
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) return { value, end: at + 1 }
  }
}

function toNode(bytes: Uint8Array): EditorNode {
  const node = newNode("", [], [])
  for (const { number, value } of fieldsOf(bytes)) {
    if (number === 1) node.inputs.push(text(value))
    if (number === 2) node.outputs.push(text(value))
    if (number === 3) node.name = text(value)
    if (number === 4) node.opType = text(value)
    if (number === 5) node.attributes.push(value)
    if (number === 7) node.domain = text(value)
  }
  return node
}

function writeNode({ opType, domain, name, inputs, outputs, attributes }: EditorNode): Bytes {
  return join(
    ...inputs.map((input) => block(1, input)),
    ...outputs.map((output) => block(2, output)),
    block(3, name),
    block(4, opType),
    ...attributes.map((attribute) => block(5, attribute)),
    block(7, domain),
  )
}

function toTensor(bytes: Uint8Array): EditorTensor {
  const tensor = bytesTensor("", [], 0, new Uint8Array(0))
  const floats: Uint8Array[] = []
  for (const { number, value, varint } of fieldsOf(bytes)) {
    if (number === 1) tensor.dims.push(...(value.length > 0 ? packed(value) : [Number(varint)]))
    if (number === 2) tensor.type = Number(varint)
    if (number === 4) floats.push(value)
    if (number === 7) floats.push(new Uint8Array(BigInt64Array.from(packed(value), BigInt).buffer))
    if (number === 8) tensor.name = text(value)
    if (number === 9) tensor.raw = Uint8Array.from(value)
  }
  if (floats.length > 0) tensor.raw = Uint8Array.from(Buffer.concat(floats))
  const raw = Uint8Array.from(tensor.raw).buffer
  if (tensor.type === FLOAT) tensor.values = new Float32Array(raw)
  if (tensor.type === FLOAT16) tensor.values = Float32Array.from(new Uint16Array(raw), fromFloat16)
  return tensor
}

function packed(bytes: Uint8Array): number[] {
  const out: number[] = []
  for (let at = 0; at < bytes.length;) {
    const { value, end } = readVarint(bytes, at)
    out.push(Number(BigInt.asIntN(64, value)))
    at = end
  }
  return out
}

function writeTensor({ name, dims, type, values, raw }: EditorTensor): Bytes {
  const bytes = values === null ? raw : encode(values, type)
  return join(...dims.map((dim) => int(1, dim)), int(2, type), block(8, name), block(9, bytes))
}

function encode(values: Float32Array, type: number): Uint8Array {
  if (type === FLOAT) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  if (type === FLOAT16) return new Uint8Array(Uint16Array.from(values, toFloat16).buffer)
  throw new Error(`a float tensor of type ${type}`)
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8")
}
