/** Levels of the sealed runtime and what a process did to reach one. The types follow from the schemas. */
import { z } from "zod"

/** Ascending: each level holds all that the one before it holds. */
export const levelSchema = z.enum(["R0", "R1", "R2"])
export type RuntimeLevel = z.infer<typeof levelSchema>

export function isAtLeast(level: RuntimeLevel, wanted: RuntimeLevel): boolean {
  return levelSchema.options.indexOf(level) >= levelSchema.options.indexOf(wanted)
}

/** One measure a runtime took against whoever else is on the machine. */
const levelStepSchema = z.strictObject({
  step: z.string(),
  title: z.string(),
  /** The level this belongs to; without it, that level is not reached, unless it is optional. */
  level: levelSchema,
  isOptional: z.boolean(),
  /** Whether it holds: applied, and the forbidden thing was tried afterwards and refused. */
  isHeld: z.boolean(),
  /** How that was seen, or why it does not hold. */
  detail: z.string(),
})
export type LevelStep = z.infer<typeof levelStepSchema>

export const levelReportSchema = z.strictObject({
  /** What the caller wanted; null is the highest this machine reaches. */
  asked: levelSchema.nullable(),
  reached: levelSchema,
  /** Why no higher level was reached; empty at the highest, or when no higher one was asked for. */
  reason: z.string(),
  steps: z.array(levelStepSchema),
})
export type LevelReport = z.infer<typeof levelReportSchema>
