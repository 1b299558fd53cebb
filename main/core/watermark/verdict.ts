/** What a trace comes to, in one word and in plain words. */
import type { Traced, TracedCopy } from "./trace.ts"

/**
 * `device-named`: at least one copy is accused at the level asked for. `owner-proven`: the owner's mark is there, no copy
 * stands out. `not-proven`: the weights are the original's, the mark is not there. `not-derived`: the suspect is another
 * network, or changed beyond what can be aligned; then nobody is named.
 */
export type Decision = "device-named" | "owner-proven" | "not-proven" | "not-derived"

export interface Verdict {
  readonly decision: Decision
  readonly accused: readonly TracedCopy[]
  /** Several copies are guilty: somebody merged them. */
  readonly isCollusion: boolean
}

/** Cosine with the original below which the suspect counts as another network: unrelated ones reach 0.13 after alignment. */
const DERIVED_FROM = 0.3

/** `level`: the chance of a false accusation that is accepted, over all copies together. */
export function judge(traced: Traced, level: number): Verdict {
  const limit = Math.log10(level)
  const accused = traced.copies.filter(({ log10pCorrected }) => log10pCorrected < limit)
  const isOwned = traced.owner.log10pCorrected < limit
  const isDerived = traced.cosine >= DERIVED_FROM
  const decision =
    accused.length > 0 ? "device-named" : isOwned ? "owner-proven" : isDerived ? "not-proven" : "not-derived"
  const devices = new Set(accused.map(({ copy }) => copy.device))
  return { decision, accused, isCollusion: devices.size > 1 }
}

/** Alternatives a statistician would want named, for the decision. `names`: the accused devices. */
export function statementOf(verdict: Verdict, names: readonly string[], level: number): string {
  const chance = `1 in ${Math.round(1 / level).toLocaleString("en")}`
  switch (verdict.decision) {
    case "device-named":
      return verdict.isCollusion
        ? `The suspect was made from the copies of ${listOf(names)}: each stands out more than chance allows any innocent device to (less than ${chance} over all devices). Several guilty copies mean that they were merged; others may have taken part without being named.`
        : `The suspect was made from the copy of ${listOf(names)}. The chance that any innocent device stands out as much is less than ${chance}.`
    case "owner-proven":
      return `The suspect carries the owner's mark, but no device stands out: too many copies were merged, or the device's mark was damaged. Nobody is named.`
    case "not-proven":
      return `The suspect's weights are like the original's, but they do not carry the owner's mark: it may be the unmarked original, a copy of another owner, or damaged beyond proof. Nobody is named.`
    case "not-derived":
      return `The suspect is not derived from the original, or it was changed beyond alignment. Nobody is named.`
  }
}

function listOf(names: readonly string[]): string {
  const shown = names.slice(0, 10)
  const more = names.length - shown.length
  const last = more > 0 ? `${more} more` : (shown.pop() ?? "nobody")
  return shown.length === 0 ? last : `${shown.join(", ")} and ${last}`
}
