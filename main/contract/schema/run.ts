/** Inference in a sealed runtime. The types follow from the schemas. */
import { z } from "zod"
import { fileRefSchema, jobEventSchema, nameSchema } from "./base.ts"
import { levelReportSchema, levelSchema } from "./runtime.ts"

export const normaliseSchema = z.strictObject({ mean: z.number(), std: z.number().positive() })
export type Normalise = z.infer<typeof normaliseSchema>

export const runSchema = z.strictObject({
  file: fileRefSchema,
  device: nameSchema,
  trust: fileRefSchema.nullable(),
  /** One array an input; a name of null is the model's only input. */
  inputs: z
    .array(z.strictObject({ name: z.string().nullable(), file: fileRefSchema }))
    .min(1)
    .max(64),
  normalise: normaliseSchema.nullable(),
  batch: z.int().positive().max(65_536).nullable(),
  /** The level that must be reached; null takes the highest this machine reaches. */
  level: levelSchema.nullable().default(null),
  /** The first output, or the one named. */
  output: z
    .strictObject({ file: fileRefSchema, replace: z.boolean(), name: z.string().nullable() })
    .nullable(),
})
export type RunRequest = z.infer<typeof runSchema>

const arrayInfoSchema = z.strictObject({ name: z.string(), type: z.string(), shape: z.array(z.number()) })

export const ranSchema = z.strictObject({
  rows: z.number(),
  batch: z.number(),
  level: levelReportSchema,
  outputs: z.array(arrayInfoSchema),
  /** What was done to the data to fit the model's input, in words. */
  conversions: z.array(z.string()),
  loadSeconds: z.number(),
  runSeconds: z.number(),
})
export type Ran = z.infer<typeof ranSchema>
export const runEventSchema = jobEventSchema(ranSchema)
