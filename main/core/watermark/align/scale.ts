/** What a row was multiplied with. Positive factors pass through ReLU, so an attacker may choose them freely (WATERMARK 4, step 6). */
import type { Layer } from "../network/network.ts"
import { select } from "../select.ts"
import type { ChannelMap } from "./channels.ts"

export interface RowScale {
  /** 1 unless the row certainly has another. */
  readonly scale: number
  /** As fitted, and the standard error of the fit; NaN without counterpart. */
  readonly fit: number
  readonly error: number
}

/** Share of a row's weights, the largest ones, that the factor is fitted on: pruning and rounding spare them. */
const LARGEST_SHARE = 0.25
/** A fit closer to 1 than this many standard errors is 1: refitting an intact row adds noise of the mark's size. */
const CERTAIN = 4

/** Fits suspect = scale · original for each row of the original. `gathered`: see `gatherInputs`. */
export function rowScales(layer: Layer, gathered: Float32Array, map: ChannelMap): readonly RowScale[] {
  const { rows, inputs, weights } = layer
  return Array.from({ length: rows }, (_, row) => {
    const source = map[row] ?? -1
    if (source < 0) return UNKNOWN
    return fitScale(
      weights.subarray(row * inputs, (row + 1) * inputs),
      gathered.subarray(source * inputs, (source + 1) * inputs),
    )
  })
}

const UNKNOWN: RowScale = { scale: 1, fit: Number.NaN, error: Number.NaN }

/** Fits other = scale · own over the largest weights of `own`; NaN and 0 in `other` are left out. */
export function fitScale(own: Float32Array, other: Float32Array): RowScale {
  const threshold = largeValue(own)
  let [both, squares, count] = [0, 0, 0]
  const uses = (i: number) => {
    const value = other[i] ?? 0
    return Math.abs(own[i] ?? 0) >= threshold && value !== 0 && Number.isFinite(value)
  }
  for (let i = 0; i < own.length; i += 1) {
    if (!uses(i)) continue
    const value = own[i] ?? 0
    both += value * (other[i] ?? 0)
    squares += value * value
    count += 1
  }
  if (count < 3 || squares === 0) return UNKNOWN
  const fit = both / squares
  let rest = 0
  for (let i = 0; i < own.length; i += 1) {
    if (uses(i)) rest += ((other[i] ?? 0) - fit * (own[i] ?? 0)) ** 2
  }
  const error = Math.sqrt(rest / (count - 1) / squares)
  return { scale: isUsable(fit, error) ? fit : 1, fit, error }
}

/** Several estimates of one factor as one, weighed by their precision. */
export function combineScales(fits: readonly RowScale[]): number {
  let [sum, weight] = [0, 0]
  for (const { fit, error } of fits) {
    if (!Number.isFinite(fit) || !Number.isFinite(error)) continue
    const precision = 1 / Math.max(error * error, 1e-12)
    sum += fit * precision
    weight += precision
  }
  if (weight === 0) return 1
  const fit = sum / weight
  return isUsable(fit, 1 / Math.sqrt(weight)) ? fit : 1
}

/** A factor must be certain to differ from 1, and a row cannot have been multiplied with nothing or less. */
function isUsable(fit: number, error: number): boolean {
  return fit > 1e-6 && Math.abs(fit - 1) >= CERTAIN * error
}

/** The value from which on a weight counts among the largest quarter. */
function largeValue(own: Float32Array): number {
  const sizes = new Float32Array(own.length)
  for (let i = 0; i < own.length; i += 1) {
    const size = Math.abs(own[i] ?? 0)
    sizes[i] = Number.isFinite(size) ? size : 0
  }
  return Math.max(Number.MIN_VALUE, select(sizes, Math.floor(sizes.length * (1 - LARGEST_SHARE))))
}
