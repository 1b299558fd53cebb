/** The log of trust acts. The types follow from the schemas. */
import { z } from "zod"
import { outputSchema } from "./base.ts"

const logEntrySchema = z.strictObject({
  index: z.number(),
  time: z.string(),
  /** What was done: `trust`, `publish`, `direct`, `revoke`, `receipts`. */
  act: z.string(),
  what: z.string(),
  /** Digests it was about. */
  digests: z.array(z.string()),
})
export type LogEntry = z.infer<typeof logEntrySchema>

export const trustLogSchema = z.strictObject({
  /** Name of the log and of the key under its checkpoints; null while there is none. */
  origin: z.string().nullable(),
  size: z.number(),
  /** Root of the tree, hex. */
  root: z.string(),
  /** Oldest first. */
  entries: z.array(logEntrySchema),
})
export type TrustLog = z.infer<typeof trustLogSchema>

export const proveEntrySchema = z.strictObject({ index: z.int().nonnegative(), output: outputSchema })
export const provedEntrySchema = z.strictObject({ entry: logEntrySchema, size: z.number() })
