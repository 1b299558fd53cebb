/** Several copies made into one. All copies are the same model but for the numbers of their weights. */
import type { EditorModel } from "./onnx-editor.ts"
import type { Dice } from "./random.ts"

export type Strategy = "mean" | "median" | "min-max" | "mosaic" | "minority"

export const STRATEGIES: readonly Strategy[] = ["mean", "median", "min-max", "mosaic", "minority"]

/** Replaces the weights of the first copy by what the coalition makes of all copies', number by number. */
export function collude(copies: readonly EditorModel[], strategy: Strategy, dice: Dice): EditorModel {
  const [first] = copies
  if (first === undefined) throw new Error("a coalition of nobody")
  const seen = new Float64Array(copies.length)
  first.tensors.forEach((tensor, index) => {
    const all = copies.map((copy) => copy.tensors[index])
    const own = tensor.values
    if (own !== null) {
      for (let i = 0; i < own.length; i += 1) {
        all.forEach((other, c) => (seen[c] = other?.values?.[i] ?? 0))
        own[i] = merge(seen, strategy, dice)
      }
      return
    }
    const steps = tensor.type === 3 ? new Int8Array(tensor.raw.buffer) : tensor.type === 2 ? tensor.raw : null
    if (steps === null) return
    for (let i = 0; i < steps.length; i += 1) {
      all.forEach((other, c) => {
        const byte = other?.raw[i] ?? 0
        seen[c] = tensor.type === 3 ? (byte << 24) >> 24 : byte
      })
      steps[i] = Math.round(merge(seen, strategy, dice))
    }
  })
  return first
}

function merge(seen: Float64Array, strategy: Strategy, dice: Dice): number {
  switch (strategy) {
    case "mean":
      return seen.reduce((sum, value) => sum + value, 0) / seen.length
    case "median": {
      const sorted = seen.toSorted()
      const half = sorted.length >> 1
      const upper = sorted[half] ?? 0
      return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? 0) + upper) / 2
    }
    case "min-max":
      return (Math.min(...seen) + Math.max(...seen)) / 2
    case "mosaic":
      return seen[dice.below(seen.length)] ?? 0
    case "minority":
      return rarest(seen)
  }
}

/** The value fewest copies have; with code bits there are two values, up to rounding. */
function rarest(seen: Float64Array): number {
  const [low, high] = [Math.min(...seen), Math.max(...seen)]
  const middle = (low + high) / 2
  const above = seen.filter((value) => value > middle).length
  if (above === 0) return low
  return above * 2 < seen.length ? high : low
}
