/**
 * What of a suspect's weight is not the original's, weighed by how much of the mark can have survived there. Nothing here
 * sees a key, so no choice made here can favour one (WATERMARK 5.1, 5.4).
 */

import { medianOf } from "./select.ts"

/** One tensor, element by element; arrays have one length. */
export interface Comparison {
  /** Original weights, canonical. */
  readonly original: Float32Array
  /** Suspect's weights at the same places, aligned; NaN where it has none. */
  readonly suspect: Float32Array
  /** Standard deviation of the original's row, for each weight. */
  readonly sigma: Float32Array
  /** Strength of the mark that is looked for, in units of sigma; 0 where the weight does not carry it. */
  readonly amplitude: Float32Array
  /** What is known to have been added besides, in units of sigma: the owner mark, when a device is looked for. */
  readonly known: Float32Array | null
  /** 1 where other noise is to be expected than where it is 0 (inside a fleet's subset); `null` when it is alike. */
  readonly stratum: Uint8Array | null
}

/** Share of the mark's own variance added to a bin's noise: 1 for the owner test, 0.1 for the device test (WATERMARK 5.1). */
export type NoiseFloor = 1 | 0.1

/**
 * The score of every carrier (0 for all other weights): survival gain times amplitude over noise, times the derivative of
 * the log-likelihood of Student's t with 3 degrees of freedom, ψ(v) = 4v/(3+v²). Written into `out`.
 */
export function scoreResiduals(comparison: Comparison, floor: NoiseFloor, out: Float64Array): void {
  const { original, suspect, sigma, amplitude, known } = comparison
  out.fill(0)
  const live = liveCarriers(comparison)
  if (live.length === 0) return
  const residual = new Float64Array(original.length)
  for (const i of live) {
    residual[i] = ((suspect[i] ?? 0) - (original[i] ?? 0)) / (sigma[i] ?? 1) - (known?.[i] ?? 0)
  }
  for (const bin of toBins(comparison, live)) {
    const gain = survivalGain(comparison, bin)
    if (gain === 0) continue
    const spread = medianDeviation(bin, residual) / NORMAL_MAD
    for (const i of bin) {
      const strength = amplitude[i] ?? 0
      const noise = Math.sqrt(spread * spread + (floor * strength) ** 2)
      const v = (residual[i] ?? 0) / noise
      const score = gain * (strength / noise) * ((4 * v) / (3 + v * v))
      if (Number.isFinite(score)) out[i] = score
    }
  }
}

const BINS = 16
/** Bins with fewer weights are merged with their neighbour. */
const MIN_BIN = 20
/** Median absolute deviation of the standard normal distribution. */
const NORMAL_MAD = 0.6745

/** Carriers that can be compared: a weight of exactly 0 was erased and says nothing. */
function liveCarriers({ original, suspect, sigma, amplitude }: Comparison): Uint32Array {
  const live = new Uint32Array(original.length)
  let count = 0
  for (let i = 0; i < original.length; i += 1) {
    const value = suspect[i] ?? Number.NaN
    const isUsable =
      (amplitude[i] ?? 0) > 0 &&
      (sigma[i] ?? 0) > 0 &&
      value !== 0 &&
      Number.isFinite(value) &&
      Number.isFinite(original[i])
    if (isUsable) live[count++] = i
  }
  return live.slice(0, count)
}

/** Carriers by quantiles of |θ|/σ, each stratum for itself. */
function toBins(comparison: Comparison, live: Uint32Array): readonly Uint32Array[] {
  const { stratum } = comparison
  if (stratum === null) return toQuantiles(comparison, live)
  return [0, 1].flatMap((side) =>
    toQuantiles(
      comparison,
      live.filter((i) => stratum[i] === side),
    ),
  )
}

function toQuantiles({ original, sigma }: Comparison, live: Uint32Array): readonly Uint32Array[] {
  if (live.length === 0) return []
  const count = Math.max(1, Math.min(BINS, Math.floor(live.length / MIN_BIN)))
  const sizes = new Float32Array(live.length)
  for (let k = 0; k < live.length; k += 1) {
    const i = live[k] ?? 0
    sizes[k] = Math.abs(original[i] ?? 0) / (sigma[i] ?? 1)
  }
  const sorted = sizes.toSorted()
  const limits = Float32Array.from(
    { length: count - 1 },
    (_, bin) => sorted[quantile(bin + 1, count, live)] ?? 0,
  )
  const bins = Array.from({ length: count }, () => new Uint32Array(live.length))
  const filled = new Uint32Array(count)
  for (let k = 0; k < live.length; k += 1) {
    const bin = binOf(sizes[k] ?? 0, limits)
    const at = filled[bin] ?? 0
    const list = bins[bin]
    if (list !== undefined) list[at] = live[k] ?? 0
    filled[bin] = at + 1
  }
  // Equal sizes (steps of a quantised tensor) share a bin, so another may stay empty.
  return bins.map((list, bin) => list.slice(0, filled[bin])).filter((list) => list.length > 0)
}

/** How many limits the size reaches; limits ascend. */
function binOf(size: number, limits: Float32Array): number {
  let [low, high] = [0, limits.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (size >= (limits[middle] ?? 0)) low = middle + 1
    else high = middle
  }
  return low
}

function quantile(bin: number, count: number, { length }: Uint32Array): number {
  return Math.floor((bin * length) / count)
}

/** How much of the original is still there: <w,θ>/<θ,θ>, from 0 to 1. Pruned and regrown weights lose their say. */
function survivalGain({ original, suspect }: Comparison, bin: Uint32Array): number {
  let [both, own] = [0, 0]
  for (const i of bin) {
    const value = original[i] ?? 0
    both += value * (suspect[i] ?? 0)
    own += value * value
  }
  return own > 0 ? Math.min(1, Math.max(0, both / own)) : 0
}

function medianDeviation(bin: Uint32Array, residual: Float64Array): number {
  const values = new Float64Array(bin.length)
  for (let k = 0; k < bin.length; k += 1) values[k] = residual[bin[k] ?? 0] ?? 0
  const middle = medianOf(values)
  for (let k = 0; k < values.length; k += 1) values[k] = Math.abs((values[k] ?? 0) - middle)
  return medianOf(values)
}
