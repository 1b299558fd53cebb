/** Finding the strength of a model's mark (docs/FORMAT.md, The mark): once per model, before any of its keys exists. */
import { AppError } from "../../contract/errors.ts"
import {
  BLIND_STRENGTH,
  MAX_STRENGTH,
  meanSquare,
  planTensors,
  predictStrength,
  shareBudget,
  SYNTHETIC_STRENGTH,
  weaknessOf,
} from "../../core/watermark/budget.ts"
import type { Edition } from "../../core/watermark/embed.ts"
import type { OriginalTensor } from "../../core/watermark/original.ts"
import { STRENGTH_UNIT, type PlannedTensor } from "../../core/watermark/plan.ts"
import type { JobContext } from "../jobs.ts"
import { isClassifier, type Distortion } from "./distortion.ts"
import type { TrialDesk } from "./trial-desk.ts"

/** Root mean square change of the outputs a mark may cause, as a share of their standard deviation. */
const CLASSIFIER_BUDGET = 0.015
const REGRESSOR_BUDGET = 0.005
/** Made-up inputs say less than data, so the mark is held to less. */
const SYNTHETIC_SHARE = 0.5
/** Strength of the noise that sensitivities are measured with, in σ. */
const PROBE = 0.02
/** Two trials a tensor, or one when there are many. */
const MANY_TENSORS = 6
const MAX_STEPS = 8

/** Strengths where nothing can be tried: the same for every tensor. */
export function blindPlan(tensors: readonly OriginalTensor[]): readonly PlannedTensor[] {
  return planTensors(
    tensors,
    tensors.map(() => BLIND_STRENGTH),
  )
}

/**
 * Measures how much the outputs feel of each tensor, shares the budget, and lowers all strengths together until both kinds
 * of copies keep it under public keys: the mean square change within budget, and no row of a classifier flipped whose margin
 * was wide. `budget` is in percent, `null` for the default. Throws MARK_TOO_WEAK when that cannot be had.
 */
export async function findPlan(
  desk: TrialDesk,
  tensors: readonly OriginalTensor[],
  budget: number | null,
  job: JobContext,
): Promise<readonly PlannedTensor[]> {
  const limit = budgetOf(desk, budget) ** 2
  const seeds = tensors.length > MANY_TENSORS ? [1] : [1, 2]
  const control = job.step("measure what weights matter", tensors.length * seeds.length, "rows")
  const sensitivities = []
  for (const [index, tensor] of tensors.entries()) {
    let sum = 0
    for (const seed of seeds) {
      job.signal.throwIfAborted()
      const [planned] = planTensors([tensor], [PROBE])
      if (planned === undefined) continue
      // The owner's mark alone is noise of random signs: S is empty.
      const probe = { ...planned, parameters: { ...planned.parameters, subset: 0, decoys: 0 } }
      const distortion = await desk.tryStrength([tensor], [probe], { kind: "base" }, seed)
      sum += distortion.relativeMeanSquare / meanSquare(tensor, PROBE)
      control.progress(index * seeds.length + seed)
    }
    sensitivities.push({ tensor, sensitivity: finite(sum / seeds.length) })
  }
  const cap = desk.set.kind === "calibration" ? MAX_STRENGTH : SYNTHETIC_STRENGTH
  return lowerUntilKept(desk, tensors, shareBudget(sensitivities, limit, cap), limit, job)
}

/** What the outputs may change by, as a share of their standard deviation. */
export function budgetOf(desk: TrialDesk, percent: number | null): number {
  if (percent !== null) return percent / 100
  const share = desk.set.kind === "calibration" ? 1 : SYNTHETIC_SHARE
  return share * (isClassifier(desk.searchBefore) ? CLASSIFIER_BUDGET : REGRESSOR_BUDGET)
}

/** Throws MARK_TOO_WEAK for a plan that could not name a device after mild damage. */
export function checkStrong(
  tensors: readonly OriginalTensor[],
  planned: readonly PlannedTensor[],
  mode: "individual" | "fleet",
): void {
  const isQuantised = tensors.some(({ form }) => form === "quantised")
  const weakness = weaknessOf(predictStrength(tensors, planned, mode), isQuantised)
  if (weakness !== null) throw new AppError("MARK_TOO_WEAK", weakness)
}

/** Whether a copy does no more to the outputs than `limit` (relative mean square) with `slack` for another key's luck. */
export function isWithin(distortion: Distortion, limit: number, slack = 1): boolean {
  return (
    distortion.relativeMeanSquare <= limit * slack &&
    (distortion.top1 === null || distortion.top1.flippedWide === 0)
  )
}

async function lowerUntilKept(
  desk: TrialDesk,
  tensors: readonly OriginalTensor[],
  strengths: readonly number[],
  limit: number,
  job: JobContext,
): Promise<readonly PlannedTensor[]> {
  const word = { device: 1, attempt: 0 }
  const editions: readonly Edition[] = [
    { kind: "individual", word },
    { kind: "fleet", word },
  ]
  const control = job.step("find the mark's strength", MAX_STEPS, "rows")
  let scale = 1
  for (let step = 0; step < MAX_STEPS; step += 1) {
    const planned = planTensors(
      tensors,
      strengths.map((strength) => strength * scale),
    )
    const worst = []
    for (const edition of editions) {
      job.signal.throwIfAborted()
      worst.push(await desk.tryStrength(tensors, planned, edition, 100 + step))
    }
    control.progress(step + 1)
    if (worst.every((distortion) => isWithin(distortion, limit))) return planned
    const excess = Math.max(...worst.map(({ relativeMeanSquare }) => relativeMeanSquare / limit))
    // The mean square grows with the square of the strength; a flipped row asks for a step of its own.
    scale *= Math.min(0.85, 0.97 / Math.sqrt(finite(excess)))
    if (strengths.every((strength) => strength * scale < STRENGTH_UNIT)) break
  }
  throw new AppError(
    "MARK_TOO_WEAK",
    `no mark was found that changes the outputs by ${(100 * Math.sqrt(limit)).toFixed(2)} % of their spread or less`,
  )
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 1e12
}
