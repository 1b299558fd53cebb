/** The mark: what is asked for, and what a marked copy promises. The types follow from the schemas. */
import { z } from "zod"
import { fileRefSchema } from "./base.ts"
import { normaliseSchema } from "./run.ts"

export const markRequestSchema = z.strictObject({
  /** Inputs on which the cost of the mark is measured, .npy; null takes the cautious default. */
  calibration: fileRefSchema.nullable(),
  /** Right answers for them, .npy. */
  labels: fileRefSchema.nullable(),
  normalise: normaliseSchema.nullable(),
  /** Largest change of the outputs: root mean square in percent of their standard deviation. */
  budget: z.number().positive().max(20).nullable(),
})
export type MarkRequest = z.infer<typeof markRequestSchema>

/** What was measured on inputs that had no part in finding the strength; the worst over the copies that were measured. */
const measuredSchema = z.strictObject({
  on: z.enum(["calibration", "synthetic"]),
  rows: z.number(),
  /** Copies that were measured. */
  copies: z.number(),
  /** Root mean square change of the outputs, as a share of their standard deviation. */
  outputChange: z.number(),
  /** Largest change of any output, in standard deviations. */
  largestChange: z.number(),
  /** Share of rows whose best class stayed; null for a model that does not classify. */
  agreement: z.number().nullable(),
  accuracyBefore: z.number().nullable(),
  accuracyAfter: z.number().nullable(),
})

export const markSchema = z.strictObject({
  /** C, hex: publish it before the first copy leaves. */
  commitment: z.string(),
  tensors: z.number(),
  /** Weights the mark may change, and all weights of the model. */
  carriers: z.number(),
  parameters: z.number(),
  deviceCarriers: z.number(),
  ownerEnergy: z.number(),
  deviceEnergy: z.number(),
  /** Expected score of the guilty device after noise of 0.1 σ. */
  deviceScore: z.number(),
  /** Fleet mode: what remains of the score against somebody who knows which weights an overlay writes. */
  knownSubsetFactor: z.number(),
  /** Fleet mode: bytes of the largest overlay. */
  overlayBytes: z.number().nullable(),
  measured: measuredSchema.nullable(),
  /** Why nothing, or nothing about accuracy, was measured; null when it was. */
  notMeasured: z.string().nullable(),
  /** Whether the plan was there already, from an earlier copy of this model. */
  isKnownModel: z.boolean(),
})
export type Mark = z.infer<typeof markSchema>
export type Measured = z.infer<typeof measuredSchema>
