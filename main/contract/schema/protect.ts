/** Making packages. The types follow from the schemas. */
import { z } from "zod"
import {
  assuranceSchema,
  fileRefSchema,
  jobEventSchema,
  modeSchema,
  nameSchema,
  outputSchema,
} from "./base.ts"
import { markRequestSchema, markSchema } from "./mark.ts"

export const protectSchema = z.strictObject({
  model: fileRefSchema,
  devices: z.array(nameSchema).min(1).max(10_000),
  /** Name of a signing key; null takes the workspace's only one, or makes one when there is none. */
  signingKey: nameSchema.nullable(),
  escrow: z.array(z.string()).max(16),
  mode: modeSchema,
  /** How the copies are marked; null leaves the mark out, which the package then says. */
  mark: markRequestSchema
    .nullable()
    .default({ calibration: null, labels: null, normalise: null, budget: null }),
  /** What the grants allow, as a JSON file in the form of docs/FORMAT.md; null allows everything. */
  policy: fileRefSchema.nullable().default(null),
  /** Rows (.npy) and what the model must answer to them on every device, within `tolerance`; they travel in the grants. */
  golden: z
    .strictObject({ input: fileRefSchema, output: fileRefSchema, tolerance: z.number().nonnegative() })
    .nullish(),
  output: outputSchema,
})
export type ProtectRequest = z.infer<typeof protectSchema>

export const notAppliedSchema = z.strictObject({ what: z.string(), why: z.string() })

export const protectedSchema = z.strictObject({
  name: z.string(),
  bytes: z.number(),
  mode: modeSchema,
  devices: z.array(z.string()),
  packages: z.array(
    z.strictObject({ digest: z.string(), payloadDigest: z.string(), payloadBytes: z.number() }),
  ),
  grants: z.number(),
  /** Root digest of the signed file list of the plaintext (OMS), hex. */
  modelRoot: z.string(),
  modelBytes: z.number(),
  /** What the mark promises; null without one. */
  mark: markSchema.nullable(),
  signedBy: z.strictObject({
    key: z.string(),
    fingerprint: z.string(),
    assurance: assuranceSchema,
    created: z.boolean(),
  }),
  notApplied: z.array(notAppliedSchema),
  seconds: z.number(),
})
export type Protected = z.infer<typeof protectedSchema>
export const protectEventSchema = jobEventSchema(protectedSchema)
