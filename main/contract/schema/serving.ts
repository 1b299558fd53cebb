/** Runtimes that stay up and answer local clients. The types follow from the schemas. */
import { z } from "zod"
import { fileRefSchema, jobEventSchema, nameSchema } from "./base.ts"
import { levelReportSchema, levelSchema } from "./runtime.ts"

export const startRuntimeSchema = z.strictObject({
  file: fileRefSchema,
  device: nameSchema,
  trust: fileRefSchema.nullable(),
  /** The level that must be reached; null takes the highest this machine reaches. */
  level: levelSchema.nullable(),
  /** Names of the clients that get a token. */
  clients: z.array(nameSchema).min(1).max(64),
})
export type StartRuntime = z.infer<typeof startRuntimeSchema>

const clientStatusSchema = z.strictObject({
  client: z.string(),
  calls: z.number(),
  rows: z.number(),
  refused: z.number(),
  signs: z.strictObject({
    nearDuplicates: z.number(),
    boundaryProbes: z.number(),
    naturalness: z.number().nullable(),
    seen: z.array(z.enum(["near-duplicates", "boundary-probes", "unnatural-distances"])),
  }),
})

const valueSchema = z.strictObject({
  name: z.string(),
  type: z.string(),
  shape: z.array(z.union([z.number(), z.string(), z.null()])),
})

export const servedSchema = z.strictObject({
  id: z.string(),
  pid: z.number(),
  package: z.string(),
  packageDigest: z.string(),
  device: z.string(),
  level: levelReportSchema,
  /** Path of the Unix socket, and of the folder with one token file a client. */
  socket: z.string(),
  tokens: z.string(),
  startedAt: z.string(),
  inputs: z.array(valueSchema),
  outputs: z.array(valueSchema),
  /** What the signed policy of the grant enforces, in the form of docs/FORMAT.md. */
  policy: z.record(z.string(), z.unknown()),
  rowsUsed: z.number(),
  clients: z.array(clientStatusSchema),
  peakMemoryBytes: z.number(),
  /** Of the runtime's own heap; null at R0. `isSecret`: the kernel itself cannot read it. */
  heap: z.strictObject({ isSecret: z.boolean(), liveBytes: z.number() }).nullable(),
})
export type Served = z.infer<typeof servedSchema>

export const startEventSchema = jobEventSchema(servedSchema)

export const runtimeIdSchema = z.strictObject({ id: z.string().regex(/^[0-9a-f]{8}$/) })
export const clearClientSchema = z.strictObject({ id: runtimeIdSchema.shape.id, client: nameSchema })
