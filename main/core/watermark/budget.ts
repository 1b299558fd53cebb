/** How strong the mark of each tensor may be, and how strong a mark has to be to be worth anything. */
import type { OriginalTensor } from "./original.ts"
import { STRENGTH_UNIT, strengthOf, SUBSET_RANGE, type MarkParameters, type PlannedTensor } from "./plan.ts"
import { stretchesOf } from "../onnx/elements.ts"

/** Largest strength of either mark, in σ: beyond it marked weights would stand out of their row. */
export const MAX_STRENGTH = 0.05
/** Strength of every tensor when nothing can be measured, in σ. */
export const BLIND_STRENGTH = 0.005
/** Largest strength when only made-up inputs could be tried, in σ. */
export const SYNTHETIC_STRENGTH = 0.01

/** Weights a fleet's overlay carries code in: for a fixed distortion only their energy counts, not their share. */
const SUBSET_TARGET = 32_768
/**
 * …and in models of more weights than the second number, where the strongest code such few carry (5 % of σ, energy 5.7) is
 * already that of a whole small network, and a thousand grants shall not outweigh half a payload.
 */
const LARGE_SUBSET_TARGET = 13_000
const LARGE_WEIGHTS = 8 << 20
/** …but never more than this share of a model, and one decoy for so many of them. */
const MAX_SUBSET_SHARE = 0.2
const CODE_PER_DECOY = 8

/** A mean of the code: E[2·sqrt(p(1 - p))] under the arcsine law cut at 0.02 (docs/FORMAT.md, The mark). */
const CODE_EFFICIENCY = 0.746
/** Noise a copy has to survive, in σ, and the score a device has to reach then: p of some 1e-12, one of 10,000 at 1e-6. */
const NOISE = 0.1
const NEEDED_SCORE = 7.5
/** Carriers each of the two marks needs when weights move by whole steps. */
const NEEDED_STEPS = 5000

/** A tensor and what the outputs feel of it: relative mean square change of the outputs per square of the strength. */
export interface Sensitivity {
  readonly tensor: OriginalTensor
  readonly sensitivity: number
}

/**
 * Strengths (in σ, by tensor) that change the outputs by at most `budget` (relative mean square) in all, the owner's and a
 * device's mark together. Half is shared equally, so that a replaced layer does not take the mark with it; half is spent
 * where it buys most energy, by falling weights per sensitivity, up to `limit`.
 */
export function shareBudget(
  tensors: readonly Sensitivity[],
  budget: number,
  limit: number,
): readonly number[] {
  const cap = limit ** 2
  const equal = tensors.map(({ sensitivity }) =>
    sensitivity <= 0 ? cap : Math.min(cap, budget / (tensors.length * 2 * sensitivity)),
  )
  const efficient = tensors.map(() => 0)
  let left = budget / 2
  const order = tensors
    .map(({ tensor, sensitivity }, index) => ({ index, sensitivity, worth: tensor.live / sensitivity }))
    .sort((a, b) => b.worth - a.worth)
  for (const { index, sensitivity } of order) {
    const square = sensitivity <= 0 ? cap : Math.min(cap, left / sensitivity)
    efficient[index] = square
    left -= square * Math.max(0, sensitivity)
  }
  return equal.map((square, index) => Math.sqrt((square + (efficient[index] ?? 0)) / 2))
}

/** The frozen parameters of every tensor at these strengths (in σ). */
export function planTensors(
  tensors: readonly OriginalTensor[],
  strengths: readonly number[],
): readonly PlannedTensor[] {
  const weights = tensors.reduce((sum, tensor) => sum + (isStreamable(tensor) ? tensor.live : 0), 0)
  const target = weights > LARGE_WEIGHTS ? LARGE_SUBSET_TARGET : SUBSET_TARGET
  const share = Math.min(MAX_SUBSET_SHARE, weights === 0 ? 0 : target / weights)
  const subset = Math.max(1, Math.round(share * SUBSET_RANGE))
  const decoys = Math.max(1, Math.round(subset / CODE_PER_DECOY))
  return tensors.map((tensor, index) => {
    const strength = toUnits(strengths[index] ?? 0)
    const canBeInSubset = isStreamable(tensor)
    const code = Math.min(MAX_STRENGTH, strengthOf(strength) / Math.sqrt(subset / SUBSET_RANGE))
    const parameters: MarkParameters = {
      form: tensor.form,
      rowAxis: tensor.rowAxis,
      strength,
      codeStrength: toUnits(code),
      subset: canBeInSubset ? subset : 0,
      decoys: canBeInSubset ? decoys : 0,
    }
    const [place] = tensor.places
    return {
      hash: tensor.hash,
      name: place?.tensor.name ?? "",
      path: place?.tensor.path ?? "",
      dims: [...tensor.dims],
      dataType: tensor.dataType,
      parameters,
    }
  })
}

/** What a plan promises in one mode. */
export interface Strength {
  /** Weights that carry the owner's mark, and the device's. */
  readonly ownerCarriers: number
  readonly deviceCarriers: number
  /** sqrt(sum of squared strengths), in σ. */
  readonly ownerEnergy: number
  readonly deviceEnergy: number
  /** Expected score of the guilty device after noise of 0.1 σ; below `neededScore` a plan is refused. */
  readonly deviceScore: number
  readonly neededScore: number
  /** What remains of a device's score against somebody who knows which weights an overlay writes, for equal damage. */
  readonly knownSubsetFactor: number
}

export function predictStrength(
  tensors: readonly OriginalTensor[],
  planned: readonly PlannedTensor[],
  mode: "individual" | "fleet",
): Strength {
  let [owner, code, ownerCarriers, deviceCarriers, written, weights] = [0, 0, 0, 0, 0, 0]
  tensors.forEach((tensor, index) => {
    const parameters = planned[index]?.parameters
    if (parameters === undefined) return
    const inCode = mode === "individual" ? 1 : parameters.subset / SUBSET_RANGE
    const codeUnits = mode === "individual" ? parameters.strength : parameters.codeStrength
    const ownerPart = energyOf(tensor, strengthOf(parameters.strength))
    const codePart = energyOf(tensor, strengthOf(codeUnits))
    owner += ownerPart.energy
    ownerCarriers += ownerPart.carriers
    code += codePart.energy * inCode
    deviceCarriers += codePart.carriers * inCode
    weights += tensor.live
    written += (tensor.live * (parameters.subset + parameters.decoys)) / SUBSET_RANGE
  })
  const perCarrier = deviceCarriers === 0 ? 0 : code / deviceCarriers
  return {
    ownerCarriers: Math.round(ownerCarriers),
    deviceCarriers: Math.round(deviceCarriers),
    ownerEnergy: Math.sqrt(owner),
    deviceEnergy: Math.sqrt(code),
    deviceScore: (CODE_EFFICIENCY * Math.sqrt(code)) / Math.sqrt(NOISE ** 2 + Math.min(perCarrier, 1)),
    neededScore: NEEDED_SCORE,
    knownSubsetFactor: mode === "individual" || weights === 0 ? 1 : Math.sqrt(written / weights),
  }
}

/** In words why a mark of this strength is not worth making, or `null` when it is. */
export function weaknessOf(strength: Strength, isQuantised: boolean): string | null {
  const { deviceScore, neededScore, deviceCarriers, ownerCarriers } = strength
  if (deviceScore < neededScore)
    return `the strongest mark within the limits would score ${deviceScore.toFixed(1)} after mild noise (log10 p about ${log10OfScore(deviceScore).toFixed(1)}), and ${neededScore} is needed`
  const carriers = Math.min(deviceCarriers, ownerCarriers)
  if (isQuantised && carriers < NEEDED_STEPS)
    return `${carriers} quantised weights could carry the mark, and ${NEEDED_STEPS} are needed`
  return null
}

/** Mean square change of a live weight, in σ², that a strength really makes: steps of quantised weights cannot make any. */
export function meanSquare(tensor: OriginalTensor, strength: number): number {
  return energyOf(tensor, strength).energy / tensor.live
}

/** Energy of one mark (in σ², summed) and the weights that carry it. Steps of quantised weights come in chances. */
function energyOf(
  tensor: OriginalTensor,
  strength: number,
): { readonly energy: number; readonly carriers: number } {
  if (tensor.form === "float") return { energy: tensor.live * strength ** 2, carriers: tensor.live }
  const perRow = tensor.live / tensor.rows
  let [energy, carriers] = [0, 0]
  tensor.sigmas.forEach((sigma, row) => {
    const step = Math.abs(tensor.factors[row] ?? 0)
    if (sigma === 0 || step === 0) return
    const chance = Math.min(0.5, ((strength * sigma) / step) ** 2)
    carriers += perRow * chance
    energy += perRow * chance * (step / sigma) ** 2
  })
  return { energy, carriers }
}

/** An overlay replaces runs of stored elements, so only tensors whose elements stand one behind the other can be in S. */
function isStreamable({ places }: OriginalTensor): boolean {
  return places.every(({ tensor }) =>
    (stretchesOf(tensor) ?? [{ stride: 1, width: 0 }]).every(({ stride, width }) => stride === width),
  )
}

function toUnits(strength: number): number {
  return Math.max(1, Math.round(strength / STRENGTH_UNIT))
}

/** log10 of exp(-z²/2), the bound a score of z reaches at least. */
function log10OfScore(score: number): number {
  return -(score ** 2) / 2 / Math.LN10
}
