/**
 * Makes ONNX models of any size: a stack of Gemm and Relu layers of equal width with random weights. Written as a stream
 * in constant memory, and the same bytes for the same options.
 */
import { closeSync, openSync, writeSync } from "node:fs"
import path from "node:path"
import { block, int, join, tag, varint, type Bytes } from "./protobuf.ts"

export interface LargeModelOptions {
  /** About how many million bytes of weights; rounded to whole layers, at least one. */
  readonly megabytes: number
  /** Inputs and outputs of each layer. */
  readonly width?: number
  readonly seed?: number
  /** Weights in a file of their own beside the model, each at a multiple of 4096 bytes. */
  readonly external?: boolean
}

export interface LargeModel {
  readonly modelPath: string
  /** The external data file, `null` when the weights are in the model. */
  readonly dataPath: string | null
  readonly width: number
  readonly layers: number
  readonly parameterCount: number
}

/**
 * Writes the model to `modelPath` (external data beside it as `<name>.data`): float32, opset 13, IR version 8, `input`
 * [batch, width] → `output` [batch, width]. Throws RangeError above 2 GiB without external data, where protobuf ends.
 */
export function writeLargeModel(modelPath: string, options: LargeModelOptions): LargeModel {
  const { megabytes, width = 1024, seed = 1, external = false } = options
  const layerBytes = 4 * width * (width + 1)
  const layers = Math.max(1, Math.round((megabytes * 1e6) / layerBytes))
  if (!external && layers * layerBytes > 2e9) throw new RangeError("above 2 GB the weights must be external")
  const tensors = Array.from({ length: layers }, (_, layer) => [
    { name: `layer${layer}.weight`, dims: [width, width], stream: 2 * layer },
    { name: `layer${layer}.bias`, dims: [width], stream: 2 * layer + 1 },
  ]).flat()
  const dataPath = external ? `${modelPath}.data` : null
  const spread = Math.sqrt(6 / width) // He initialisation: keeps the signal's size through any number of layers

  if (dataPath !== null) {
    const parts = tensors.flatMap((tensor): Part[] => [{ alignTo: PAGE }, payloadOf(tensor, seed, spread)])
    writeParts(dataPath, parts)
  }
  const location = dataPath === null ? null : path.basename(dataPath)
  writeParts(modelPath, modelParts(width, layers, withOffsets(tensors), location, seed, spread))
  return { modelPath, dataPath, width, layers, parameterCount: layers * width * (width + 1) }
}

interface Tensor {
  readonly name: string
  readonly dims: readonly number[]
  /** Number of its random stream. */
  readonly stream: number
}

/** Bytes as they are, zeros up to a multiple, or so many random floats. */
type Part = Bytes | { readonly alignTo: number } | Payload

interface Payload {
  readonly values: number
  readonly state: number
  readonly spread: number
}

const PAGE = 4096
const CHUNK_VALUES = 256 * 1024

function modelParts(
  width: number,
  layers: number,
  tensors: readonly (Tensor & { readonly offset: number })[],
  location: string | null,
  seed: number,
  spread: number,
): readonly Part[] {
  const nodes = Array.from({ length: layers }, (_, layer) => layerNodes(layer, layers)).flat()
  const initializers = tensors.flatMap((tensor) =>
    location === null
      ? inlineTensor(tensor, payloadOf(tensor, seed, spread))
      : [externalTensor(tensor, location)],
  )
  const graph: readonly Part[] = [
    ...nodes,
    block(2, "gemm_stack"),
    ...initializers,
    block(11, valueInfo("input", width)),
    block(12, valueInfo("output", width)),
  ]
  return [int(1, 8), block(2, "large-model"), blockHeader(7, sizeOf(graph)), ...graph, block(8, int(2, 13))]
}

function layerNodes(layer: number, layers: number): readonly Bytes[] {
  const isLast = layer === layers - 1
  const input = layer === 0 ? "input" : `relu${layer - 1}`
  const output = isLast ? "output" : `gemm${layer}`
  const transposed = block(5, block(1, "transB"), int(3, 1), int(20, 2))
  const gemm = block(
    1,
    ...[input, `layer${layer}.weight`, `layer${layer}.bias`].map((name) => block(1, name)),
    block(2, output),
    block(3, `Gemm_${layer}`),
    block(4, "Gemm"),
    transposed,
  )
  if (isLast) return [gemm]
  return [
    gemm,
    block(1, block(1, output), block(2, `relu${layer}`), block(3, `Relu_${layer}`), block(4, "Relu")),
  ]
}

function inlineTensor(tensor: Tensor, payload: Payload): readonly Part[] {
  const head = join(tensorHead(tensor), blockHeader(9, 4 * payload.values))
  return [blockHeader(5, head.length + 4 * payload.values), head, payload]
}

function externalTensor(tensor: Tensor & { readonly offset: number }, location: string): Bytes {
  const entries = { location, offset: String(tensor.offset), length: String(4 * countOf(tensor)) }
  const external = Object.entries(entries).map(([key, value]) => block(13, block(1, key), block(2, value)))
  return block(5, tensorHead(tensor), ...external, int(14, 1))
}

function tensorHead({ dims, name }: Tensor): Bytes {
  return join(...dims.map((dim) => int(1, dim)), int(2, 1), block(8, name))
}

function valueInfo(name: string, width: number): Bytes {
  const shape = block(2, block(1, block(2, "batch")), block(1, int(1, width)))
  return join(block(1, name), block(2, block(1, int(1, 1), shape)))
}

function blockHeader(field: number, length: number): Bytes {
  return join(tag(field, 2), varint(length))
}

/** Where each tensor stands in the external file. */
function withOffsets(tensors: readonly Tensor[]): readonly (Tensor & { readonly offset: number })[] {
  let end = 0
  return tensors.map((tensor) => {
    const offset = Math.ceil(end / PAGE) * PAGE
    end = offset + 4 * countOf(tensor)
    return { ...tensor, offset }
  })
}

function payloadOf(tensor: Tensor, seed: number, spread: number): Payload {
  // Odd multipliers keep the streams apart; xorshift must not start at 0.
  const state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(tensor.stream + 1, 0x85ebca6b)) | 0
  return { values: countOf(tensor), state: state === 0 ? 1 : state, spread }
}

function countOf(tensor: Tensor): number {
  return tensor.dims.reduce((product, dim) => product * dim, 1)
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce(
    (size, part) =>
      part instanceof Uint8Array
        ? size + part.length
        : "alignTo" in part
          ? Math.ceil(size / part.alignTo) * part.alignTo
          : size + 4 * part.values,
    0,
  )
}

function writeParts(file: string, parts: readonly Part[]): void {
  const handle = openSync(file, "w")
  try {
    let at = 0
    for (const part of parts) {
      if (part instanceof Uint8Array) at += writeAll(handle, part)
      else if ("alignTo" in part) at += writeAll(handle, new Uint8Array(-at & (part.alignTo - 1)))
      else at += writeRandom(handle, part)
    }
  } finally {
    closeSync(handle)
  }
}

/** Uniform floats in ±spread from xorshift32 (Marsaglia, Journal of Statistical Software 8(14), 2003). */
function writeRandom(handle: number, payload: Payload): number {
  const chunk = new Float32Array(Math.min(CHUNK_VALUES, payload.values))
  const scale = payload.spread / 2 ** 31
  let { state } = payload
  for (let done = 0; done < payload.values; done += chunk.length) {
    const count = Math.min(chunk.length, payload.values - done)
    for (let i = 0; i < count; i += 1) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      chunk[i] = state * scale
    }
    writeAll(handle, new Uint8Array(chunk.buffer, 0, 4 * count))
  }
  return 4 * payload.values
}

function writeAll(handle: number, bytes: Uint8Array): number {
  for (let done = 0; done < bytes.length;) done += writeSync(handle, bytes, done)
  return bytes.length
}
