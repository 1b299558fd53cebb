/** How much of an answer leaves: less detail makes a model harder to imitate from its outputs. */
import { toFloat16 } from "../../bytes/float16.ts"
import { numbersOf, type FirewallArray, type Numbers } from "./array.ts"
import type { FirewallRules } from "./rules.ts"

/** The outputs as a client may see them. Integers and text stay as they are: they are labels already. */
export function treatOutputs(
  outputs: readonly FirewallArray[],
  rule: FirewallRules["output"],
): readonly FirewallArray[] {
  if (rule.kind === "full") return outputs
  return outputs.map((output) => (output.type.startsWith("float") ? treat(output, rule) : output))
}

/** Index of the largest value of each row of the first output that has scores; `null` when none has. NaN never wins. */
export function labelsOf(outputs: readonly FirewallArray[], rows: number): Int32Array | null {
  const scores = outputs.find(
    ({ type, shape }) =>
      type.startsWith("float") && shape.length >= 2 && shape[0] === rows && sizeOf(shape.slice(1)) > 1,
  )
  if (scores === undefined) return null
  const values = numbersOf(scores)
  const width = values.length / rows
  const labels = new Int32Array(rows)
  for (let row = 0; row < rows; row += 1) labels[row] = largest(values, row * width, width)
  return labels
}

function treat(
  output: FirewallArray,
  rule: Exclude<FirewallRules["output"], { readonly kind: "full" }>,
): FirewallArray {
  const values = Float64Array.from(numbersOf(output))
  if (rule.kind === "round") {
    const scale = 10 ** rule.digits
    for (const [index, value] of values.entries()) values[index] = Math.round(value * scale) / scale
  } else {
    const width = output.shape.length < 2 ? values.length : sizeOf(output.shape.slice(1))
    const rows = width === 0 ? 0 : Math.floor(values.length / width)
    for (let at = 0; at < rows * width; at += width) {
      if (rule.kind === "label") toOneHot(values, at, width)
      else keepLargest(values.subarray(at, at + width), rule.k)
    }
  }
  return { ...output, data: toBytes(values, output.type) }
}

function toOneHot(values: Float64Array, at: number, width: number): void {
  const label = largest(values, at, width)
  values.fill(0, at, at + width)
  values[at + label] = 1
}

/** Everything below the k-th largest value becomes that value: the order of the rest is gone. */
function keepLargest(row: Float64Array, k: number): void {
  if (k >= row.length) return
  const threshold = row.toSorted().at(-k) ?? 0
  for (const [index, value] of row.entries()) if (!(value >= threshold)) row[index] = threshold
}

function largest(values: Numbers, at: number, width: number): number {
  let best = 0
  let bestValue = Number.NEGATIVE_INFINITY
  for (let index = 0; index < width; index += 1) {
    const value = values[at + index] ?? Number.NEGATIVE_INFINITY
    if (value > bestValue) {
      best = index
      bestValue = value
    }
  }
  return best
}

function toBytes(values: Float64Array, type: string): Uint8Array {
  const array =
    type === "float64"
      ? values
      : type === "float16"
        ? Uint16Array.from(values, toFloat16)
        : Float32Array.from(values)
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}
