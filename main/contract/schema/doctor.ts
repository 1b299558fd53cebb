/** What this computer can do. The types follow from the schemas. */
import { z } from "zod"
import { levelSchema } from "./runtime.ts"

export const doctorCheckSchema = z.strictObject({
  id: z.string(),
  title: z.string(),
  result: z.enum(["ok", "limited", "missing"]),
  detail: z.string(),
  /** The command or setting that would change it; empty when nothing needs to. */
  fix: z.string(),
})
export type DoctorCheck = z.infer<typeof doctorCheckSchema>
export const doctorSchema = z.strictObject({
  version: z.string(),
  node: z.string(),
  platform: z.string(),
  checks: z.array(doctorCheckSchema),
})
/** The little a window always shows of this computer: cheap to ask, and asked again and again. */
export const levelsSchema = z.strictObject({
  /** The highest level the sealed runtime reaches; null where it does not start. */
  runtime: levelSchema.nullable(),
  /** Whether a TPM answers. */
  tpm: z.boolean(),
})
export type DoctorReport = z.infer<typeof doctorSchema>
