/** Figures of a validation. */
import { fromFloat16 } from "../core/bytes/float16.ts"
import type { NpyRows } from "../core/bytes/npy.ts"
import type { Tensor } from "./ports.ts"

export interface Latency {
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly mean: number
  /** 95 % confidence interval of the median, from order statistics (no distribution assumed). */
  readonly p50Low: number
  readonly p50High: number
}

/** Percentiles by linear interpolation between order statistics (type 7, numpy's default). */
export function summarise(samples: readonly number[]): Latency {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share: number): number => {
    const position = share * (sorted.length - 1)
    const low = sorted[Math.floor(position)] ?? 0
    const high = sorted[Math.ceil(position)] ?? 0
    return low + (high - low) * (position - Math.floor(position))
  }
  return {
    p50: at(0.5),
    p90: at(0.9),
    p95: at(0.95),
    p99: at(0.99),
    mean: samples.reduce((sum, ms) => sum + ms, 0) / samples.length,
    ...medianInterval(sorted),
  }
}

/** Ranks n/2 ± 0.98 √n of sorted values: the binomial interval of the median in its normal approximation. */
function medianInterval(sorted: readonly number[]): { readonly p50Low: number; readonly p50High: number } {
  const half = 0.98 * Math.sqrt(sorted.length)
  const middle = (sorted.length - 1) / 2
  const rank = (index: number) => sorted[Math.min(sorted.length - 1, Math.max(0, index))] ?? 0
  return { p50Low: rank(Math.floor(middle - half)), p50High: rank(Math.ceil(middle + half)) }
}

export function median(values: readonly number[]): number {
  return summarise(values).p50
}

/** Which rows of two batches of outputs are the same to the last bit, and the largest difference of any two numbers. */
export function compareOutputs(
  plain: readonly Tensor[],
  sealed: readonly Tensor[],
  rows: number,
): { readonly identicalRows: number; readonly maxAbsoluteDifference: number } {
  const differs = Array.from({ length: rows }, () => plain.length !== sealed.length)
  let maxAbsoluteDifference = 0
  plain.forEach((tensor, index) => {
    const other = sealed[index]
    const isComparable =
      other !== undefined && other.type === tensor.type && other.data.length === tensor.data.length
    if (!isComparable) {
      differs.fill(true)
      return
    }
    // An output without a row axis belongs to every row.
    const isPerRow = tensor.shape[0] === rows
    const stride = isPerRow ? tensor.data.length / rows : tensor.data.length
    for (let row = 0; row < (isPerRow ? rows : 1); row += 1) {
      const from = row * stride
      const a = tensor.data.subarray(from, from + stride)
      if (Buffer.compare(a, other.data.subarray(from, from + stride)) === 0) continue
      if (isPerRow) differs[row] = true
      else differs.fill(true)
    }
    if (differs.includes(true))
      maxAbsoluteDifference = Math.max(maxAbsoluteDifference, largestDifference(tensor, other))
  })
  return { identicalRows: differs.filter((differ) => !differ).length, maxAbsoluteDifference }
}

function largestDifference(a: Tensor, b: Tensor): number {
  const x = toNumbers(a)
  const y = toNumbers(b)
  return x.reduce((largest, value, index) => Math.max(largest, Math.abs(value - (y[index] ?? Number.NaN))), 0)
}

/** The elements of a tensor as numbers. */
export function toNumbers({ type, data }: Pick<Tensor, "type" | "data">): readonly number[] {
  const copy = Uint8Array.from(data).buffer
  switch (type) {
    case "float32":
      return [...new Float32Array(copy)]
    case "float64":
      return [...new Float64Array(copy)]
    case "float16":
      return [...new Uint16Array(copy)].map((half) => fromFloat16(half))
    case "int64":
      return [...new BigInt64Array(copy)].map(Number)
    case "uint64":
      return [...new BigUint64Array(copy)].map(Number)
    case "int32":
      return [...new Int32Array(copy)]
    case "uint32":
      return [...new Uint32Array(copy)]
    case "int16":
      return [...new Int16Array(copy)]
    case "uint16":
      return [...new Uint16Array(copy)]
    case "int8":
      return [...new Int8Array(copy)]
    default:
      return [...new Uint8Array(copy)]
  }
}

/** How good outputs are against labels: top-1 for class scores, R² for one number a row. */
export class Scorer {
  readonly kind: "top-1" | "r2"
  readonly #output: number
  readonly #labels: readonly number[]
  #predictions: number[] = []

  /** `null` when no output looks like class scores or a single number a row. */
  static for(outputs: readonly Tensor[], labels: NpyRows): Scorer | null {
    const values = toNumbers({
      type: labels.dtype,
      data: new Uint8Array(labels.data.buffer, labels.data.byteOffset, labels.data.byteLength),
    })
    const rows = outputs[0]?.shape[0]
    const isFloat = (tensor: Tensor) => tensor.type.startsWith("float") && tensor.shape[0] === rows
    const scores = outputs.findIndex(
      (tensor) => isFloat(tensor) && tensor.shape.length === 2 && (tensor.shape[1] ?? 0) > 1,
    )
    if (scores >= 0) return new Scorer("top-1", scores, values)
    const single = outputs.findIndex(
      (tensor) => isFloat(tensor) && tensor.data.length === (rows ?? 0) * elementBytes(tensor),
    )
    return single >= 0 ? new Scorer("r2", single, values) : null
  }

  private constructor(kind: "top-1" | "r2", output: number, labels: readonly number[]) {
    this.kind = kind
    this.#output = output
    this.#labels = labels
  }

  add(outputs: readonly Tensor[]): void {
    const tensor = outputs[this.#output]
    if (tensor === undefined) return
    const values = toNumbers(tensor)
    const width = this.kind === "r2" ? 1 : (tensor.shape[1] ?? 1)
    for (let from = 0; from < values.length; from += width) {
      this.#predictions.push(
        this.kind === "r2" ? (values[from] ?? 0) : argmax(values.slice(from, from + width)),
      )
    }
  }

  /** Share of right rows, or R². */
  get score(): number {
    const pairs = this.#predictions.map(
      (prediction, row) => [prediction, this.#labels[row] ?? Number.NaN] as const,
    )
    if (this.kind === "top-1")
      return pairs.filter(([prediction, label]) => prediction === label).length / pairs.length
    const mean = this.#labels.reduce((sum, label) => sum + label, 0) / this.#labels.length
    const residual = pairs.reduce((sum, [prediction, label]) => sum + (label - prediction) ** 2, 0)
    const total = pairs.reduce((sum, [, label]) => sum + (label - mean) ** 2, 0)
    return 1 - residual / total
  }

  /** Share of rows on which two scorers predict the same. */
  agreementWith(other: Scorer): number {
    return (
      this.#predictions.filter((prediction, row) => prediction === other.#predictions[row]).length /
      this.#predictions.length
    )
  }
}

function argmax(values: readonly number[]): number {
  return values.reduce((best, value, index) => (value > (values[best] ?? -Infinity) ? index : best), 0)
}

function elementBytes({ type }: Tensor): number {
  return Number(/\d+$/.exec(type)?.[0] ?? 8) / 8
}
