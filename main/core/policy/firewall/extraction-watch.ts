/**
 * Watches what one client asks for the patterns of model extraction. Three signs, each a share or statistic over the
 * client's recent rows:
 * - near-duplicates: rows very close to an earlier one without being it, as when a direction is searched step by step;
 * - boundary probes: such a pair whose answers differ, as when a decision boundary is bisected;
 * - unnatural distances: the distance of each row to its nearest earlier row of the same answer is close to normally
 *   distributed for natural data and is not for synthetic queries (PRADA, Juuti et al. 2019; here by Shapiro-Francia).
 * It raises the cost of stealing a model through its answers; it does not make it impossible.
 */
import { SKETCH_SIZE, squaredDistance } from "./sketch.ts"
import type { FirewallRules } from "./rules.ts"

export interface WatchSigns {
  /** Shares of the recent rows, 0 to 1. */
  readonly nearDuplicates: number
  readonly boundaryProbes: number
  /** Shapiro-Francia statistic, at most 1; `null` while there are too few rows. */
  readonly naturalness: number | null
  /** Names of the signs beyond their limits. */
  readonly seen: ("near-duplicates" | "boundary-probes" | "unnatural-distances")[]
}

/** Rows a client is judged by, and rows before anything is judged at all. */
const WINDOW = 256
const MIN_ROWS = 64
const MIN_DISTANCES = 100
const ROWS_BETWEEN = 32
/** Relative distance below which two different rows are near-duplicates. */
const NEAR = 0.05
/** Relative distance below which two rows are the same row: a retry is no probe. */
const SAME = 1e-6

export class ExtractionWatch {
  readonly #limits: FirewallRules["watch"]
  readonly #sketches = new Float32Array(WINDOW * SKETCH_SIZE)
  readonly #labels = new Int32Array(WINDOW)
  readonly #isNear = new Uint8Array(WINDOW)
  readonly #isProbe = new Uint8Array(WINDOW)
  /** Distance to the nearest earlier row of the same label; 0 where there was none. */
  readonly #distances = new Float64Array(WINDOW)
  #rows = 0
  /** Made anew when rows came; the statistic only every so many rows, since it sorts. */
  #signs: WatchSigns | null = null
  #naturalness: number | null = null
  #naturalAt = 0

  constructor(limits: FirewallRules["watch"]) {
    this.#limits = limits
  }

  /** `sketches`: rows × SKETCH_SIZE; `labels`: the answers given, or `null` when the model gives no scores. */
  observe(sketches: Float32Array, labels: Int32Array | null): void {
    this.#signs = null
    for (let at = 0; at < sketches.length; at += SKETCH_SIZE) {
      this.#observeRow(sketches, at, labels?.[at / SKETCH_SIZE] ?? NO_LABEL)
    }
  }

  signs(): WatchSigns {
    this.#signs ??= this.#judge()
    return this.#signs
  }

  #judge(): WatchSigns {
    const rows = Math.min(this.#rows, WINDOW)
    const share = (flags: Uint8Array) => (rows === 0 ? 0 : flags.reduce((sum, flag) => sum + flag, 0) / rows)
    const nearDuplicates = share(this.#isNear)
    const boundaryProbes = share(this.#isProbe)
    if (this.#rows >= this.#naturalAt) {
      this.#naturalness = shapiroFrancia(this.#distances.filter((distance) => distance > 0))
      this.#naturalAt = this.#rows + ROWS_BETWEEN
    }
    const naturalness = this.#naturalness
    const { nearDuplicates: maxNear, boundaryProbes: maxProbes, naturalness: minNatural } = this.#limits
    const seen: WatchSigns["seen"] = []
    if (rows >= MIN_ROWS) {
      if (nearDuplicates > maxNear) seen.push("near-duplicates")
      if (boundaryProbes > maxProbes) seen.push("boundary-probes")
      if (naturalness !== null && naturalness < minNatural) seen.push("unnatural-distances")
    }
    return { nearDuplicates, boundaryProbes, naturalness, seen }
  }

  #observeRow(sketches: Float32Array, at: number, label: number): void {
    const slot = this.#rows % WINDOW
    const known = Math.min(this.#rows, WINDOW)
    const scale = squaredDistance(sketches, at, ZERO, 0)
    let nearest = Number.POSITIVE_INFINITY
    let nearestOfLabel = Number.POSITIVE_INFINITY
    let isRepeat = false
    let crossing = false
    for (let other = 0; other < known; other += 1) {
      const distance = squaredDistance(sketches, at, this.#sketches, other * SKETCH_SIZE)
      if (distance <= scale * SAME * SAME) isRepeat = true
      else if (distance < nearest) nearest = distance
      if (label !== NO_LABEL && label !== this.#labels[other] && distance <= scale * NEAR * NEAR)
        crossing = true
      if (label === this.#labels[other] && distance > 0 && distance < nearestOfLabel)
        nearestOfLabel = distance
    }
    const isNear = !isRepeat && nearest <= scale * NEAR * NEAR
    this.#isNear[slot] = isNear ? 1 : 0
    this.#isProbe[slot] = isNear && crossing ? 1 : 0
    this.#distances[slot] = !isRepeat && Number.isFinite(nearestOfLabel) ? Math.sqrt(nearestOfLabel) : 0
    this.#labels[slot] = label
    this.#sketches.set(sketches.subarray(at, at + SKETCH_SIZE), slot * SKETCH_SIZE)
    this.#rows += 1
  }
}

const NO_LABEL = -1
const ZERO = new Float32Array(SKETCH_SIZE)

/**
 * Squared correlation of the sorted values with the expected order of normal ones (Shapiro and Francia 1972), after
 * values beyond three standard deviations are left out. `null` for too few, 0 when all are equal.
 */
function shapiroFrancia(values: Float64Array): number | null {
  if (values.length < MIN_DISTANCES) return null
  const { mean, deviation } = momentsOf(values)
  if (deviation === 0) return 0
  const kept = values.filter((value) => Math.abs(value - mean) <= 3 * deviation).sort()
  const inner = momentsOf(kept)
  if (inner.deviation === 0) return 0
  let cross = 0
  let scores = 0
  for (const [index, value] of kept.entries()) {
    // Blom's positions, and Joiner and Rosenblatt's approximation of the normal quantile.
    const p = (index + 1 - 0.375) / (kept.length + 0.25)
    const score = 4.91 * (p ** 0.14 - (1 - p) ** 0.14)
    cross += score * (value - inner.mean)
    scores += score * score
  }
  return (cross * cross) / (scores * inner.deviation * inner.deviation * kept.length)
}

function momentsOf(values: Float64Array): { readonly mean: number; readonly deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  return { mean, deviation: Math.sqrt(variance) }
}
