/** What a validation has to show before its package may go out (docs/FORMAT.md, Validation): limits somebody wrote down before. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import type { RuntimeLevel } from "../../contract/schema/runtime.ts"
import { isAtLeast, levelSchema } from "../../contract/schema/runtime.ts"
import { parseJson } from "../bytes/json.ts"

export const gateSchema = z.strictObject({
  /** Largest loss of accuracy between the original and the sealed copy, as a share (0.003 is 0.3 points). */
  maxAccuracyLoss: z.number().min(0).max(1).optional(),
  /** Least share of rows with the same answer as the original. */
  minAgreement: z.number().min(0).max(1).optional(),
  /** Largest ratio of sealed to plain latency at the 95th percentile, and at the median. */
  maxP95Overhead: z.number().positive().optional(),
  maxP50Overhead: z.number().positive().optional(),
  /** Largest ratio of sealed to plain load time. */
  maxLoadRatio: z.number().positive().optional(),
  /** Weakest runtime level that counts. */
  requiredLevel: levelSchema.optional(),
})
export type GateLimits = z.infer<typeof gateSchema>

/** Throws GATE_MALFORMED. */
export function parseGate(bytes: Uint8Array): GateLimits {
  const parsed = gateSchema.safeParse(parseJson(bytes, "the gate"))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new AppError(
    "GATE_MALFORMED",
    `the gate is not valid at ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`,
  )
}

/** The measured side. */
export interface GateFigures {
  readonly isIdentical: boolean
  readonly accuracy: { readonly plain: number; readonly sealed: number; readonly agreement: number } | null
  readonly p50Overhead: number
  readonly p95Overhead: number
  readonly loadRatio: number
  readonly level: RuntimeLevel
}

export interface GateLine {
  readonly limit: string
  readonly wanted: string
  readonly measured: string
  readonly passed: boolean
}

export interface GateResult {
  readonly passed: boolean
  readonly lines: readonly GateLine[]
}

/**
 * Sealed outputs that differ from the same copy's in an ordinary process never pass, whatever the limits say. A limit on
 * accuracy without labels fails: what was not measured was not shown.
 */
export function judgeGate(limits: GateLimits, figures: GateFigures): GateResult {
  const lines: GateLine[] = [
    {
      limit: "identical outputs",
      wanted: "every row",
      measured: figures.isIdentical ? "every row" : "not every row",
      passed: figures.isIdentical,
    },
  ]
  const atMost = (limit: string, wanted: number | undefined, measured: number | null) => {
    if (wanted === undefined) return
    lines.push({
      limit,
      wanted: `at most ${text(wanted)}`,
      measured: measured === null ? "not measured" : text(measured),
      passed: measured !== null && measured <= wanted,
    })
  }
  const { accuracy } = figures
  atMost("accuracy loss", limits.maxAccuracyLoss, accuracy === null ? null : accuracy.plain - accuracy.sealed)
  if (limits.minAgreement !== undefined) {
    const measured = accuracy?.agreement ?? null
    lines.push({
      limit: "agreement",
      wanted: `at least ${text(limits.minAgreement)}`,
      measured: measured === null ? "not measured" : text(measured),
      passed: measured !== null && measured >= limits.minAgreement,
    })
  }
  atMost("latency at the median, sealed to plain", limits.maxP50Overhead, figures.p50Overhead)
  atMost("latency at the 95th percentile, sealed to plain", limits.maxP95Overhead, figures.p95Overhead)
  atMost("load time, sealed to plain", limits.maxLoadRatio, figures.loadRatio)
  if (limits.requiredLevel !== undefined) {
    lines.push({
      limit: "runtime level",
      wanted: `at least ${limits.requiredLevel}`,
      measured: figures.level,
      passed: isAtLeast(figures.level, limits.requiredLevel),
    })
  }
  return { passed: lines.every(({ passed }) => passed), lines }
}

function text(value: number): string {
  return String(Number(value.toPrecision(4)))
}
