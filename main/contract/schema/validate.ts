/** Plain and sealed side by side. The types follow from the schemas. */
import { z } from "zod"
import { fileRefSchema, jobEventSchema, nameSchema, outputSchema } from "./base.ts"
import { notAppliedSchema } from "./protect.ts"
import { normaliseSchema } from "./run.ts"
import { levelSchema } from "./runtime.ts"

export const validateSchema = z.strictObject({
  file: fileRefSchema,
  device: nameSchema,
  trust: fileRefSchema.nullable(),
  model: fileRefSchema,
  data: fileRefSchema,
  labels: fileRefSchema.nullable(),
  normalise: normaliseSchema.nullable(),
  batch: z.int().positive().max(65_536).nullable(),
  /** Folder for report.html and report.json. */
  report: outputSchema,
})
export type ValidateRequest = z.infer<typeof validateSchema>

const latencySchema = z.strictObject({ p50: z.number(), p90: z.number(), p99: z.number(), mean: z.number() })

/** The body of report.json. Latencies and load times in milliseconds a batch. */
export const validationSchema = z.strictObject({
  version: z.literal(1),
  createdAt: z.string(),
  tool: z.string(),
  package: z.strictObject({ name: z.string(), digest: z.string() }),
  model: z.strictObject({ name: z.string(), parameters: z.number(), bytes: z.number() }),
  data: z.strictObject({ name: z.string(), rows: z.number(), sha256: z.string() }),
  machine: z.strictObject({ cpu: z.string(), cores: z.number(), memoryBytes: z.number(), os: z.string() }),
  level: levelSchema,
  batch: z.number(),
  conversions: z.array(z.string()),
  equality: z.strictObject({
    rows: z.number(),
    identicalRows: z.number(),
    maxAbsoluteDifference: z.number(),
  }),
  accuracy: z
    .strictObject({
      kind: z.enum(["top-1", "r2"]),
      plain: z.number(),
      sealed: z.number(),
      agreement: z.number(),
    })
    .nullable(),
  latencyMs: z.strictObject({
    batches: z.number(),
    plain: latencySchema,
    sealed: latencySchema,
    /** sealed p50 / plain p50. */
    overhead: z.number(),
  }),
  loadMs: z.strictObject({
    plain: z.number(),
    sealed: z.number(),
    decrypt: z.number(),
    verify: z.number(),
    session: z.number(),
  }),
  peakMemoryBytes: z.strictObject({ plain: z.number(), sealed: z.number() }),
  samplesMs: z.strictObject({ plain: z.array(z.number()), sealed: z.array(z.number()) }),
  notApplied: z.array(notAppliedSchema),
})
export type Validation = z.infer<typeof validationSchema>

const validatedSchema = z.strictObject({
  validation: validationSchema,
  files: z.array(z.string()),
})
export type Validated = z.infer<typeof validatedSchema>
export const validateEventSchema = jobEventSchema(validatedSchema)
