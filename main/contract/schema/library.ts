/** Packages a workspace made or opened, and the sample model. The types follow from the schemas. */
import { z } from "zod"
import { fileRefSchema, modeSchema } from "./base.ts"
import { normaliseSchema } from "./run.ts"

/** What is known of a package without opening it again. Only for finding it: what counts is what `verify` says. */
export const packageFactsSchema = z.strictObject({
  origin: z.enum(["made", "opened"]),
  /** Name of the model it was made from; null for one that was only opened. */
  model: z.string().nullable(),
  devices: z.array(z.string()),
  mode: modeSchema.nullable(),
  signedBy: z.string().nullable(),
  digests: z.array(z.string()),
  addedAt: z.string(),
})
export type PackageFacts = z.infer<typeof packageFactsSchema>

export const packageEntrySchema = packageFactsSchema.extend({
  /** The same for the same path, also after the engine started anew. */
  file: fileRefSchema,
  name: z.string(),
  /** Size now; null when the file is not where it was. */
  bytes: z.number().nullable(),
})
export type PackageEntry = z.infer<typeof packageEntrySchema>

export const packageFileSchema = z.strictObject({ file: fileRefSchema })

export const sampleSchema = z.strictObject({
  model: fileRefSchema,
  modelName: z.string(),
  data: fileRefSchema,
  dataName: z.string(),
  labels: fileRefSchema,
  labelsName: z.string(),
  normalise: normaliseSchema,
})
export type Sample = z.infer<typeof sampleSchema>
