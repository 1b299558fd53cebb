/** What every message is made of: file references, names, jobs and their progress. The types follow from the schemas. */
import { z } from "zod"
import { errorCodes } from "../errors.ts"

/** Stands for a file the engine may touch. A host issues it; clients never see or send paths. */
export const fileRefSchema = z.string().min(8).max(64).brand("FileRef")
export type FileRef = z.infer<typeof fileRefSchema>

/** Where a result goes. Without `replace` an existing file is refused. */
export const outputSchema = z.strictObject({ file: fileRefSchema, replace: z.boolean() })

/** Names people give to keys and devices. */
export const nameSchema = z.string().min(1).max(64)

/** How sure we are of where a private key lives. */
export const assuranceSchema = z.enum(["software", "hardware", "attested"])
export type Assurance = z.infer<typeof assuranceSchema>

export const modeSchema = z.enum(["individual", "fleet"])
export type Mode = z.infer<typeof modeSchema>

const failureSchema = z.strictObject({ code: z.enum(errorCodes), message: z.string() })
export type Failure = z.infer<typeof failureSchema>

/** What a measurement saw since its last sign of life: milliseconds of each call, and rows compared so far. */
const liveSchema = z.strictObject({
  calls: z.array(z.tuple([z.number(), z.number()])),
  identicalRows: z.number(),
  comparedRows: z.number(),
})
export type Live = z.infer<typeof liveSchema>

/** One sign of life of a job. `rate` in bytes (or rows) per second; `etaSeconds` is null while it cannot be known. */
const progressSchema = z.strictObject({
  kind: z.literal("progress"),
  step: z.string(),
  unit: z.enum(["bytes", "rows"]),
  done: z.number(),
  total: z.number(),
  rate: z.number(),
  etaSeconds: z.number().nullable(),
  /** Plain and sealed side by side, while a validation compares them. */
  live: liveSchema.optional(),
})
export type Progress = z.infer<typeof progressSchema>

/** What a job's stream carries: any number of progress events, then exactly one result or failure. */
export function jobEventSchema<T extends z.ZodType>(result: T) {
  return z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("started"), job: z.string() }),
    progressSchema,
    z.strictObject({ kind: z.literal("result"), result }),
    z.strictObject({ kind: z.literal("failed"), failure: failureSchema }),
  ])
}
export type JobEvent<T> =
  | { readonly kind: "started"; readonly job: string }
  | Progress
  | { readonly kind: "result"; readonly result: T }
  | { readonly kind: "failed"; readonly failure: Failure }

/** A job the engine knows of. */
export const jobSchema = z.strictObject({
  job: z.string(),
  title: z.string(),
  state: z.enum(["running", "done", "failed", "cancelled"]),
  startedAt: z.string(),
  progress: progressSchema.nullable(),
})
export type Job = z.infer<typeof jobSchema>
