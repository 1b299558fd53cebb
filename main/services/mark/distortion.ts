/** What changed weights do to a model's outputs. */
import type { Tensor } from "../ports.ts"
import { toNumbers } from "../statistics.ts"

/** Outputs of a model over all batches of a set. */
export type Outputs = readonly (readonly Tensor[])[]

export interface Distortion {
  /** Mean square change relative to the output's variance, averaged over the outputs that vary. */
  readonly relativeMeanSquare: number
  /** Largest change of any number, in standard deviations of its output. */
  readonly largestChange: number
  /** Of a classifier: rows, rows whose best class stayed, and rows that flipped although their margin was wide. */
  readonly top1: { readonly rows: number; readonly kept: number; readonly flippedWide: number } | null
}

/** A change of this many standard deviations on either side may flip rows whose margin is smaller, and only those. */
const WIDE_MARGIN = 0.2

/** Compares outputs with those of the unchanged model. */
export function measureDistortion(before: Outputs, after: Outputs): Distortion {
  const outputs = before[0] ?? []
  let [sum, counted, largestChange] = [0, 0, 0]
  outputs.forEach(({ type }, index) => {
    if (!type.startsWith("float")) return
    const a = valuesOf(before, index)
    const b = valuesOf(after, index)
    const spread = standardDeviation(a)
    if (spread === 0) return
    let squares = 0
    let largest = 0
    for (let i = 0; i < a.length; i += 1) {
      // What is not finite compares as an infinite change.
      const change = Math.abs((b[i] ?? Number.NaN) - (a[i] ?? 0))
      squares += change ** 2
      largest = Math.max(largest, Number.isNaN(change) ? Number.POSITIVE_INFINITY : change)
    }
    sum += Number.isNaN(squares) ? Number.POSITIVE_INFINITY : squares / a.length / spread ** 2
    largestChange = Math.max(largestChange, largest / spread)
    counted += 1
  })
  return {
    relativeMeanSquare: counted === 0 ? 0 : sum / counted,
    largestChange,
    top1: compareTop1(before, after),
  }
}

/** The output that looks like class scores: [rows, classes]. -1 when there is none. */
function classOutput(outputs: readonly Tensor[]): number {
  return outputs.findIndex(
    ({ type, shape }) => type.startsWith("float") && shape.length === 2 && (shape[1] ?? 0) > 1,
  )
}

/** True when the model is judged by its best class, false when by its numbers. */
export function isClassifier(outputs: Outputs): boolean {
  return classOutput(outputs[0] ?? []) >= 0
}

/** The best class of every row. */
export function topClasses(outputs: Outputs): readonly number[] {
  const index = classOutput(outputs[0] ?? [])
  return index < 0 ? [] : outputs.flatMap((batch) => rowsOf(batch[index]).map((row) => best(row).place))
}

function compareTop1(before: Outputs, after: Outputs): Distortion["top1"] {
  const index = classOutput(before[0] ?? [])
  if (index < 0) return null
  const spread = standardDeviation(valuesOf(before, index))
  let [rows, kept, flippedWide] = [0, 0, 0]
  before.forEach((batch, number) => {
    const other = rowsOf(after[number]?.[index])
    rowsOf(batch[index]).forEach((row, i) => {
      const first = best(row)
      rows += 1
      if (best(other[i] ?? []).place === first.place) kept += 1
      else if (first.margin > WIDE_MARGIN * spread) flippedWide += 1
    })
  })
  return { rows, kept, flippedWide }
}

function valuesOf(outputs: Outputs, index: number): Float64Array {
  return Float64Array.from(
    outputs.flatMap((batch) => (batch[index] === undefined ? [] : toNumbers(batch[index]))),
  )
}

function rowsOf(tensor: Tensor | undefined): readonly (readonly number[])[] {
  if (tensor === undefined) return []
  const values = toNumbers(tensor)
  const width = tensor.shape[1] ?? 1
  return Array.from({ length: values.length / width }, (_, row) =>
    values.slice(row * width, (row + 1) * width),
  )
}

function best(row: readonly number[]): { readonly place: number; readonly margin: number } {
  let [place, first, second] = [-1, -Infinity, -Infinity]
  row.forEach((value, index) => {
    if (value > first) [place, first, second] = [index, value, first]
    else if (value > second) second = value
  })
  return { place, margin: first - second }
}

function standardDeviation(values: Float64Array): number {
  if (values.length === 0) return 0
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}
