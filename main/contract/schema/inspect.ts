/** What a model or a package holds. The types follow from the schemas. */
import { z } from "zod"
import { errorCodes } from "../errors.ts"
import { fileRefSchema } from "./base.ts"

const valueInfoSchema = z.strictObject({
  name: z.string(),
  type: z.string(),
  /** Sizes, names of dynamic dimensions, or null where the model says nothing. */
  shape: z.array(z.union([z.number(), z.string(), z.null()])).nullable(),
})

const modelSummarySchema = z.strictObject({
  kind: z.literal("model"),
  name: z.string(),
  bytes: z.number(),
  irVersion: z.number(),
  producer: z.string(),
  opsets: z.array(z.strictObject({ domain: z.string(), version: z.number() })),
  inputs: z.array(valueInfoSchema),
  outputs: z.array(valueInfoSchema),
  nodes: z.number(),
  operators: z.array(z.strictObject({ name: z.string(), count: z.number() })),
  customDomains: z.array(z.string()),
  parameters: z.number(),
  tensors: z.array(
    z.strictObject({
      name: z.string(),
      path: z.string(),
      type: z.string(),
      shape: z.array(z.number()),
      bytes: z.number(),
      storage: z.string(),
      /** Whether a mark can be put into it, and if not why; null for what is no weight. */
      mark: z.strictObject({ carries: z.boolean(), why: z.string().nullable() }).nullable(),
    }),
  ),
  externalFiles: z.array(z.strictObject({ name: z.string(), bytes: z.number() })),
  /** The signature that lies beside the model, if one does, and what it is worth to this workspace. */
  signature: z
    .strictObject({
      /** Of its file. */
      name: z.string(),
      /** The trusted key it is by; null when no key trusted here made it. */
      by: z.string().nullable(),
      /** Why it does not hold; null when it does. */
      code: z.enum(errorCodes).nullable(),
      reason: z.string(),
    })
    .nullable(),
})
export type ModelSummary = z.infer<typeof modelSummarySchema>

const packageSummarySchema = z.strictObject({
  kind: z.literal("package"),
  name: z.string(),
  bytes: z.number(),
  packages: z.array(
    z.strictObject({ digest: z.string(), payloadBytes: z.number(), recipients: z.array(z.string()) }),
  ),
  grants: z.array(z.strictObject({ digest: z.string(), bytes: z.number(), recipients: z.array(z.string()) })),
  signatures: z.array(
    z.strictObject({
      subject: z.string(),
      predicateType: z.string(),
      keyHint: z.string().nullable(),
      statement: z.unknown(),
    }),
  ),
})
export type PackageSummary = z.infer<typeof packageSummarySchema>

export const inspectSchema = z.strictObject({ file: fileRefSchema })
export const summarySchema = z.discriminatedUnion("kind", [modelSummarySchema, packageSummarySchema])
export type Summary = z.infer<typeof summarySchema>
