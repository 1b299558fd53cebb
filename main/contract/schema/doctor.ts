/** What this computer can do. The types follow from the schemas. */
import { z } from "zod"

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
export type DoctorReport = z.infer<typeof doctorSchema>
