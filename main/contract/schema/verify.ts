/** Judging packages and opening them. The types follow from the schemas. */
import { z } from "zod"
import { errorCodes } from "../errors.ts"
import { fileRefSchema, jobEventSchema, nameSchema, outputSchema } from "./base.ts"
import { notAppliedSchema } from "./protect.ts"

export const verifySchema = z.strictObject({
  file: fileRefSchema,
  device: nameSchema.nullable(),
  /** A PEM file or a folder of them; null means the keys this workspace trusts. */
  trust: fileRefSchema.nullable(),
})
export type VerifyRequest = z.infer<typeof verifySchema>

export const checkSchema = z.strictObject({
  id: z.string(),
  /** Section of docs/FORMAT.md. */
  section: z.string(),
  title: z.string(),
  result: z.enum(["passed", "failed", "skipped"]),
  code: z.enum(errorCodes).nullable(),
  reason: z.string(),
})
export type Check = z.infer<typeof checkSchema>

export const verdictSchema = z.strictObject({
  verdict: z.enum(["verified", "refused"]),
  name: z.string(),
  checks: z.array(checkSchema),
  /** What the signed statement of the package says; empty until its signature is verified. */
  statement: z.record(z.string(), z.unknown()),
  /** What the grant allows the device that was named (FORMAT 5.2); null without a device, and in a refusal: nothing of it is genuine then. */
  policy: z.record(z.string(), z.unknown()).nullable(),
  signers: z.array(z.strictObject({ fingerprint: z.string(), label: z.string() })),
  notApplied: z.array(notAppliedSchema),
  seconds: z.number(),
})
export type Verdict = z.infer<typeof verdictSchema>
export const verifyEventSchema = jobEventSchema(verdictSchema)

export const openSchema = z.strictObject({
  file: fileRefSchema,
  device: nameSchema,
  trust: fileRefSchema.nullable(),
  output: outputSchema,
})
export type OpenRequest = z.infer<typeof openSchema>

const openedSchema = z.strictObject({
  files: z.array(z.strictObject({ name: z.string(), bytes: z.number(), sha256: z.string() })),
  seconds: z.number(),
})
export type Opened = z.infer<typeof openedSchema>
export const openEventSchema = jobEventSchema(openedSchema)
