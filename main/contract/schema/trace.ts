/** Tracing a suspect to the copy it came from. The types follow from the schemas. */
import { z } from "zod"
import { fileRefSchema, jobEventSchema, modeSchema, outputSchema } from "./base.ts"

export const traceSchema = z.strictObject({
  suspect: fileRefSchema,
  /** The model as it was before it was protected; null looks for it beside the suspect, under the name the ledger has. */
  original: fileRefSchema.nullable(),
  /** Chance of a false accusation that is accepted, over all devices together. */
  level: z.number().gt(0).lt(0.1),
  /** Devices listed; those accused are listed in any case. */
  top: z.int().positive().max(100_000),
  /** Folder for report.html and report.json. */
  report: outputSchema.nullable(),
})
export type TraceRequest = z.infer<typeof traceSchema>

const evidenceFileSchema = z.strictObject({ name: z.string(), bytes: z.number(), sha256: z.string() })

const tracedDeviceSchema = z.strictObject({
  device: z.string(),
  /** Number in the code. */
  number: z.number(),
  mode: modeSchema,
  /** lg of the chance that an innocent device stands out as much, after Bonferroni over all code words issued. */
  log10p: z.number(),
  /** The same for this device alone. */
  log10pSingle: z.number(),
  /** Deviations above what chance gives. */
  z: z.number(),
  accused: z.boolean(),
})

const alignmentSchema = z.strictObject({
  /** Cosine of the marked weights with the original's: 1 for a copy, below about 0.1 for a stranger. */
  cosine: z.number(),
  weights: z.number(),
  /** Weights of the original that have a counterpart in the suspect. */
  compared: z.number(),
  /** What was undone, in words. */
  done: z.array(z.string()),
  /** Names of tensors without counterpart. */
  unmatched: z.array(z.string()),
  tensors: z.array(
    z.strictObject({
      name: z.string(),
      shape: z.array(z.number()),
      /** Name of the counterpart in the suspect; null without one. */
      suspect: z.string().nullable(),
      cosine: z.number(),
      movedRows: z.number(),
      scaledRows: z.number(),
      lostRows: z.number(),
    }),
  ),
})

const tracedSchema = z.strictObject({
  decision: z.enum(["device-named", "owner-proven", "not-proven", "not-derived"]),
  /** The decision in plain words. */
  statement: z.string(),
  level: z.number(),
  owner: z.strictObject({
    /** lg of the chance that a key that has nothing to do with the suspect fits as well, corrected for the models tried. */
    log10p: z.number(),
    z: z.number(),
    carriers: z.number(),
  }),
  /** Likeliest first. */
  devices: z.array(tracedDeviceSchema),
  /** Code words that were compared, and what their p-values were multiplied with. */
  compared: z.number(),
  tests: z.number(),
  collusion: z.strictObject({ devices: z.array(z.string()), hint: z.string() }).nullable(),
  alignment: alignmentSchema,
  evidence: z.strictObject({
    /** The ONNX file, then its external data. */
    suspect: z.array(evidenceFileSchema),
    original: z.array(evidenceFileSchema),
    ledger: z.string(),
    /** Digest of the marked weights, and the commitment published before the first copy was issued. */
    modelHash: z.string(),
    commitment: z.string(),
  }),
  tool: z.string(),
  createdAt: z.string(),
  seconds: z.number(),
  /** Names of the files written. */
  files: z.array(z.string()),
})
export type TraceResult = z.infer<typeof tracedSchema>
export const traceEventSchema = jobEventSchema(tracedSchema)
