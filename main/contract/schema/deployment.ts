/** What happens on a device: from its pinned root to what it runs. The types follow from the schemas. */
import { z } from "zod"
import { errorCodes } from "../errors.ts"
import { assuranceSchema, fileRefSchema, jobEventSchema, nameSchema, outputSchema } from "./base.ts"
import { placeSchema } from "./registry.ts"
import { verdictSchema } from "./verify.ts"

const slotSchema = z.strictObject({
  release: z.string(),
  releaseCounter: z.number(),
  counter: z.number(),
  /** Digest of the package manifest, and its length. */
  package: z.string(),
  packageBytes: z.number(),
  /** Digest of the grant's manifest; slots filled before there were registries lack it. */
  grant: z.string().optional(),
  ring: z.string(),
  expires: z.string(),
  /** File name in the cache. */
  file: z.string(),
  state: z.enum(["waiting", "trial", "good", "failed"]),
})
export type Slot = z.infer<typeof slotSchema>

export const deploymentStatusSchema = z.strictObject({
  device: z.string(),
  deviceId: z.string(),
  hardwareId: z.string(),
  active: z.enum(["a", "b"]).nullable(),
  slots: z.strictObject({ a: slotSchema.nullable(), b: slotSchema.nullable() }),
  /** Fetched and verified, not installed yet. */
  incoming: slotSchema.nullable(),
  floors: z.strictObject({ deployment: z.number(), release: z.number(), level: assuranceSchema }),
  /** The latest time the device knows has passed. */
  clockFloor: z.string(),
  isClockBehind: z.boolean(),
  /** What happened last. */
  result: z.strictObject({ what: z.string(), code: z.enum(errorCodes).nullable(), detail: z.string() }),
  receipts: z.number(),
  /** Of these, how many no registry has taken yet. */
  receiptsWaiting: z.number().optional(),
})
export type DeploymentStatus = z.infer<typeof deploymentStatusSchema>
export const deploymentEventSchema = jobEventSchema(deploymentStatusSchema)

export const provisionSchema = z.strictObject({
  device: nameSchema,
  from: fileRefSchema,
  hardwareId: nameSchema.nullable(),
})
export type Provision = z.infer<typeof provisionSchema>
export const provisionedSchema = z.strictObject({
  device: z.string(),
  deviceId: z.string(),
  /** SHA-256 of the pinned roots: compare with `trust show` at the desk. */
  imageRoot: z.string(),
  directorRoot: z.string(),
  /** Signs receipts; the desk needs its public half. */
  receiptKey: z.strictObject({ name: z.string(), publicKeyPem: z.string() }),
})
export type Provisioned = z.infer<typeof provisionedSchema>

export const syncDeviceSchema = z.strictObject({
  device: nameSchema,
  /** A file that was carried here, or a repository. */
  from: z.union([fileRefSchema, placeSchema]),
})
export type SyncDevice = z.infer<typeof syncDeviceSchema>
export const installedPackageSchema = z.strictObject({ release: z.string(), file: fileRefSchema })
export type InstalledPackage = z.infer<typeof installedPackageSchema>
export const onDeviceSchema = z.strictObject({ device: nameSchema })
export const installSchema = z.strictObject({
  device: nameSchema,
  /** Arrays the model must map onto each other, within `tolerance`; null checks that it loads. */
  golden: z
    .strictObject({ input: fileRefSchema, output: fileRefSchema, tolerance: z.number().nonnegative() })
    .nullable(),
})
export type Install = z.infer<typeof installSchema>
export const deviceVerdictEventSchema = jobEventSchema(verdictSchema)
export const receiptsSchema = z.strictObject({ device: nameSchema, output: outputSchema })
export const receiptsWrittenSchema = z.strictObject({ receipts: z.number() })
export const deliverSchema = z.strictObject({ device: nameSchema, to: placeSchema })
export const deliveredSchema = z.strictObject({
  /** How many were attached to their grants now, and how many still wait. */
  delivered: z.number(),
  waiting: z.number(),
})
export type Delivered = z.infer<typeof deliveredSchema>
