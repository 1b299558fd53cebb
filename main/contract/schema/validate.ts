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
  /** Inputs, .npy; null takes random ones, which tell nothing of accuracy. */
  data: fileRefSchema.nullable(),
  labels: fileRefSchema.nullable(),
  normalise: normaliseSchema.nullable(),
  batch: z.int().positive().max(65_536).nullable(),
  /** Limits the result has to keep, as a JSON file; null asks for identical outputs alone. */
  gate: fileRefSchema.nullable().default(null),
  /** Signs the result into the package: the key's name, or null in it for the only one. */
  sign: z.strictObject({ key: nameSchema.nullable() }).nullable().default(null),
  /** Folder for report.html and report.json. */
  report: outputSchema,
})
export type ValidateRequest = z.infer<typeof validateSchema>

const latencySchema = z.strictObject({
  p50: z.number(),
  p90: z.number(),
  p95: z.number(),
  p99: z.number(),
  mean: z.number(),
  /** 95 % confidence interval of the median. */
  p50Low: z.number(),
  p50High: z.number(),
})

/** One kind of runtime, measured in turn with all others. Latency from the caller and back, milliseconds a batch. */
const laneSchema = z.strictObject({
  name: z.enum(["plain", "R0", "R1", "R2", "firewall"]),
  level: levelSchema.nullable(),
  calls: z.number(),
  latencyMs: latencySchema,
  /** Against the plain lane. */
  overhead: z.strictObject({ p50: z.number(), p95: z.number() }),
  loadMs: z.number(),
  peakMemoryBytes: z.number(),
  /** Against the first sealed lane. */
  rowsCompared: z.number(),
  identicalRows: z.number(),
})
export type Lane = z.infer<typeof laneSchema>

const gateResultSchema = z.strictObject({
  passed: z.boolean(),
  lines: z.array(
    z.strictObject({ limit: z.string(), wanted: z.string(), measured: z.string(), passed: z.boolean() }),
  ),
})

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
    /** A marked copy cannot equal its original: it is compared with itself, opened in an ordinary process. */
    comparedWith: z.enum(["original", "marked-copy"]),
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
  lanes: z.array(laneSchema),
  skippedLanes: z.array(z.strictObject({ name: z.string(), why: z.string() })),
  gate: gateResultSchema,
  samplesMs: z.strictObject({ plain: z.array(z.number()), sealed: z.array(z.number()) }),
  notApplied: z.array(notAppliedSchema),
})
export type Validation = z.infer<typeof validationSchema>

const validatedSchema = z.strictObject({
  validation: validationSchema,
  files: z.array(z.string()),
  /** Who signed the result into the package; null when nobody was asked to. */
  signedBy: z.strictObject({ key: z.string(), fingerprint: z.string() }).nullable(),
})
export type Validated = z.infer<typeof validatedSchema>
export const validateEventSchema = jobEventSchema(validatedSchema)
