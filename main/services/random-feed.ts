/** Inputs for a model nobody gave data for: enough to compare outputs and time calls, never to judge accuracy. */
import { AppError } from "../contract/errors.ts"
import { toFloat16 } from "../core/bytes/float16.ts"
import type { Feed } from "./feed.ts"
import type { Tensor, ValueInfo } from "./ports.ts"

const BATCHES = 32
/** Where the model leaves the size of an image open, and of anything else. */
const IMAGE_SIDE = 64
const OTHER_SIZE = 16
const MAX_ELEMENTS = 1 << 26

/**
 * The same numbers every time: uniform in [-1, 1) for real types, zeros for whole ones, which are indices or flags more often
 * than quantities. Throws INPUT_MISMATCH for types it cannot make and for inputs above 64 Mi elements.
 */
export function randomFeed(wanted: readonly ValueInfo[]): Feed {
  const shapes = wanted.map(({ shape }) => shape.map((size, axis) => fixedSize(size, axis, shape.length)))
  const batch = Math.max(1, shapes[0]?.[0] ?? 1)
  return {
    rows: batch * BATCHES,
    batch,
    conversions: ["random inputs: no test data was given"],
    names: ["random inputs"],
    batchAt: async (row) => wanted.map((input, index) => makeTensor(input, shapes[index] ?? [], row + index)),
    close: async () => {},
  }
}

function fixedSize(size: number | string | null, axis: number, rank: number): number {
  if (typeof size === "number" && size > 0) return size
  if (axis === 0) return 1
  return rank === 4 && axis > 1 ? IMAGE_SIDE : OTHER_SIZE
}

function makeTensor({ name, type }: ValueInfo, shape: readonly number[], seed: number): Tensor {
  const elements = shape.reduce((product, size) => product * size, 1)
  if (elements > MAX_ELEMENTS)
    throw new AppError("INPUT_MISMATCH", `the input ${name} is too large to make up: ${elements} elements`)
  const data = fill(type, elements, seed)
  if (data === null) throw new AppError("INPUT_MISMATCH", `inputs of type ${type} cannot be made up`)
  return { name, type, shape, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) }
}

function fill(type: string, elements: number, seed: number): ArrayBufferView | null {
  const next = uniform(seed)
  switch (type) {
    case "float32":
      return Float32Array.from({ length: elements }, next)
    case "float64":
      return Float64Array.from({ length: elements }, next)
    case "float16":
      return Uint16Array.from({ length: elements }, () => toFloat16(next()))
    case "int64":
    case "uint64":
      return new BigInt64Array(elements)
    case "int32":
    case "uint32":
      return new Int32Array(elements)
    case "int16":
    case "uint16":
      return new Int16Array(elements)
    case "int8":
    case "uint8":
    case "bool":
      return new Uint8Array(elements)
    default:
      return null
  }
}

/** Numbers in [-1, 1) by xorshift32: nothing depends on their quality. */
function uniform(seed: number): () => number {
  let state = (seed * 2_654_435_761 + 1) | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state | 0) / 2 ** 31
  }
}
