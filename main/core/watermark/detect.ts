/**
 * The two tests. Owner: are the residuals signed as the owner's secret signs say? Device: do they follow this device's
 * codeword? Both bounds hold for every number of weights and whatever the scores are, because under the null hypothesis
 * only the secret signs, or the codeword, are random (WATERMARK 5.2 to 5.4).
 */
import { log10SignTail } from "./tails.ts"

/** Scores of one tensor (see `scoreResiduals`) with the secret that stands at the same places. */
export interface SignedScores {
  readonly scores: Float64Array
  /** -1 or 1. */
  readonly signs: Int8Array
}

export interface SignTest {
  /** Weights that had a say. */
  readonly carriers: number
  /** Deviations above what chance gives. */
  readonly z: number
  /** lg of the bound on the chance of such a z, before any correction; 0 when nothing could be compared. */
  readonly log10p: number
}

/** The owner test over all tensors. Scores are rounded to whole numbers first, so the result is the same everywhere. */
export function ownerTest(tensors: readonly SignedScores[]): SignTest {
  const scale = LARGEST_SCORE / largest(tensors.map(({ scores }) => scores))
  let [sum, squares, carriers] = [0, 0, 0]
  for (const { scores, signs } of tensors) {
    for (let i = 0; i < scores.length; i += 1) {
      const score = Math.round((scores[i] ?? 0) * scale)
      if (score === 0 || !Number.isFinite(score)) continue
      sum += score * (signs[i] ?? 0)
      squares += score * score
      carriers += 1
    }
  }
  const z = squares > 0 ? sum / Math.sqrt(squares) : 0
  return { carriers, z, log10p: log10SignTail(z) }
}

/** What the code of one tensor is made of: its signs and the bias of every position, in 256ths. */
export interface CodedScores extends SignedScores {
  readonly bias: Uint8Array
}

/** One tensor ready to be summed over codewords: `weights` is 0 where nothing is carried. */
export interface CodeWeights {
  /** Within ±32767. */
  readonly weights: Int16Array
  readonly bias: Uint8Array
}

/**
 * The device test with everything done that does not depend on the device: a device costs one pass over its codeword. Its
 * null: the codeword's bits are independent of the suspect, 1 with chance bias/256 each.
 */
export class DeviceTest {
  readonly tensors: readonly CodeWeights[]
  readonly carriers: number
  /** Σ bias·weight: what the sum over a codeword is expected to be, times 256. */
  readonly #expected: number
  /** Standard deviation of that sum. */
  readonly #deviation: number
  readonly #grid: readonly { readonly lambda: number; readonly cumulant: number }[]

  constructor(tensors: readonly CodedScores[]) {
    const { cells, weights } = toWeights(tensors)
    this.tensors = weights
    let [expected, variance, carriers] = [0, 0, 0]
    for (const { count, weight, bias } of cells) {
      expected += count * bias * weight
      variance += (count * weight * weight * bias * (256 - bias)) / 65_536
      carriers += count
    }
    this.#expected = expected
    this.#deviation = Math.sqrt(variance)
    this.carriers = carriers
    this.#grid = this.#deviation === 0 ? [] : toGrid(cells, this.#deviation)
  }

  /** `sum`: the weights at the positions where the codeword is 1, added up. */
  judge(sum: number): SignTest {
    if (this.#deviation === 0) return { carriers: 0, z: 0, log10p: 0 }
    const excess = sum - this.#expected / 256
    let ln = 0
    // Markov's inequality for e^(λ·sum) holds for each λ; the least of them falls with the sum, so it bounds its tail too.
    for (const { lambda, cumulant } of this.#grid) ln = Math.min(ln, cumulant - lambda * excess)
    return { carriers: this.carriers, z: excess / this.#deviation, log10p: ln / Math.LN10 }
  }
}

/** The weights of `tensor` at the positions where the codeword is 1, added up: `codeword[i] < bias[i]`. */
export function sumCodeword({ weights, bias }: CodeWeights, codeword: Uint8Array): number {
  let total = 0
  for (let start = 0; start < weights.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, weights.length)
    let sum = 0
    for (let i = start; i < end; i += 1) {
      // Branch-free: the shift is all ones where the byte is below the bias.
      sum += (weights[i] ?? 0) & (((codeword[i] ?? 0) - (bias[i] ?? 0)) >> 31)
    }
    total += sum
  }
  return total
}

/** lg p after a correction for `times` looks (Bonferroni); never above 0. */
export function correct(log10p: number, times: number): number {
  return Math.min(0, log10p + Math.log10(Math.max(1, times)))
}

const LARGEST_SCORE = 32_767
/** Levels of a score on each side of 0, and where scores are clipped, in units of their root mean square. */
const LEVELS = 127
const CLIP = 3
/** weight = WEIGHT · level / √(bias·(256-bias)): within ±32767 for every bias the code has. */
const WEIGHT = 9_000
const LEAST_BIAS = 5
/** Sums of 2^15 weights of 16 bits fit into 32 bits. */
const BLOCK = 32_768

const LAMBDAS = 60
const [FIRST_LAMBDA, LAST_LAMBDA] = [1e-2, 300]

function toWeights(tensors: readonly CodedScores[]): {
  readonly cells: readonly Cell[]
  readonly weights: readonly CodeWeights[]
} {
  const root = rootMeanSquare(tensors.map(({ scores }) => scores))
  const table = weightTable()
  const histogram = new Float64Array(CELLS)
  const weights = tensors.map(({ scores, signs, bias }) => {
    const out = new Int16Array(scores.length)
    if (root === 0) return { weights: out, bias }
    for (let i = 0; i < scores.length; i += 1) {
      const clipped = Math.min(CLIP, Math.max(-CLIP, ((scores[i] ?? 0) / root) * (signs[i] ?? 0)))
      const level = Math.round((clipped * LEVELS) / CLIP)
      if (level === 0 || !Number.isFinite(level)) continue
      const cell = (level + LEVELS) * 256 + (bias[i] ?? 0)
      out[i] = table[cell] ?? 0
      histogram[cell] = (histogram[cell] ?? 0) + 1
    }
    return { weights: out, bias }
  })
  return { cells: toCells(histogram, table), weights }
}

const CELLS = (2 * LEVELS + 1) * 256

/** Weight of each cell, a score's level and a bias: whole numbers, so that sums are the same on every machine. */
function weightTable(): Int16Array {
  const table = new Int16Array(CELLS)
  for (let level = -LEVELS; level <= LEVELS; level += 1) {
    for (let bias = LEAST_BIAS; bias <= 256 - LEAST_BIAS; bias += 1) {
      table[(level + LEVELS) * 256 + bias] = Math.round((WEIGHT * level) / Math.sqrt(bias * (256 - bias)))
    }
  }
  return table
}

/** All carriers of one weight and bias. */
interface Cell {
  readonly count: number
  readonly weight: number
  readonly bias: number
}

function toCells(histogram: Float64Array, table: Int16Array): readonly Cell[] {
  const cells: Cell[] = []
  histogram.forEach((count, cell) => {
    if (count > 0) cells.push({ count, weight: table[cell] ?? 0, bias: cell % 256 })
  })
  return cells
}

/** The cumulant-generating function of the centred sum at a geometric row of λ. */
function toGrid(cells: readonly Cell[], deviation: number): readonly { lambda: number; cumulant: number }[] {
  return Array.from({ length: LAMBDAS }, (_, step) => {
    const lambda = (FIRST_LAMBDA * (LAST_LAMBDA / FIRST_LAMBDA) ** (step / (LAMBDAS - 1))) / deviation
    let cumulant = 0
    for (const { count, weight, bias } of cells)
      cumulant += count * bernoulliCumulant(lambda * weight, bias / 256)
    return { lambda, cumulant }
  })
}

/** ln E e^(t·(x - p)) for x 1 with chance p, else 0; the larger exponential is taken out first. */
function bernoulliCumulant(t: number, p: number): number {
  return t > 0
    ? t * (1 - p) + Math.log(p + (1 - p) * Math.exp(-t))
    : -t * p + Math.log(1 - p + p * Math.exp(t))
}

function largest(lists: readonly Float64Array[]): number {
  let most = 0
  for (const list of lists) for (const value of list) if (Math.abs(value) > most) most = Math.abs(value)
  return most === 0 || !Number.isFinite(most) ? 1 : most
}

function rootMeanSquare(lists: readonly Float64Array[]): number {
  let [sum, count] = [0, 0]
  for (const list of lists) {
    for (const value of list) {
      if (value === 0 || !Number.isFinite(value)) continue
      sum += value * value
      count += 1
    }
  }
  return count === 0 ? 0 : Math.sqrt(sum / count)
}
