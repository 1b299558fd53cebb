/** Tracing a suspect that only answers. The types follow from the schemas. */
import { z } from "zod"
import { fileRefSchema, jobEventSchema } from "./base.ts"
import { normaliseSchema } from "./run.ts"

export const traceBlackboxSchema = z.strictObject({
  /** An ONNX model used by its labels only, or a command that answers batches on its standard streams. */
  suspect: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("model"), file: fileRefSchema }),
    z.strictObject({ kind: z.literal("command"), command: z.string().min(1).max(4096) }),
  ]),
  original: fileRefSchema,
  /** Inputs like those the model sees in use, .npy. */
  data: fileRefSchema,
  normalise: normaliseSchema.nullable(),
  level: z.number().gt(0).lt(0.1),
  /** Inputs on the decision boundary that the suspect is asked about. */
  probes: z.int().min(20).max(10_000),
  /** Copies of devices that do not exist, whose ranks make the p-value. */
  fakes: z.int().min(20).max(1_000_000),
})
export type TraceBlackboxRequest = z.infer<typeof traceBlackboxSchema>

const rankedSchema = z.strictObject({
  device: z.string(),
  number: z.number(),
  /** lg of the rank p-value after Bonferroni over all devices. */
  log10p: z.number(),
  /** The rank p-value of this device alone. */
  p: z.number(),
  statistic: z.number(),
  accused: z.boolean(),
})

const tracedBlackboxSchema = z.strictObject({
  /** `device-ranked`: the first of the list is a lead; nobody is accused on it. */
  decision: z.enum(["device-named", "device-ranked"]),
  statement: z.string(),
  level: z.number(),
  /** Likeliest first. */
  devices: z.array(rankedSchema),
  probes: z.number(),
  fakes: z.number(),
  queries: z.number(),
  /** Share of probes the suspect answers with one of the two classes of the probe. */
  onBoundary: z.number(),
  /** What this test cannot do, in words. */
  limits: z.array(z.string()),
  seconds: z.number(),
})
export type TracedBlackbox = z.infer<typeof tracedBlackboxSchema>
export const traceBlackboxEventSchema = jobEventSchema(tracedBlackboxSchema)
