/** Releases, rings and what the fleet runs. The types follow from the schemas. */
import { z } from "zod"
import { errorCodes } from "../errors.ts"
import { fileRefSchema, jobEventSchema, nameSchema, outputSchema } from "./base.ts"
import { placeSchema } from "./registry.ts"
import { pendingSchema } from "./trust.ts"

export const createReleaseSchema = z.strictObject({
  name: nameSchema,
  packages: z.array(fileRefSchema).min(1).max(1000),
  /** Kinds of device it is for; empty: any. */
  hardwareIds: z.array(nameSchema).max(64),
})
export type CreateRelease = z.infer<typeof createReleaseSchema>

const gateSchema = z.strictObject({
  gate: z.enum(["signatures", "validation", "approvals"]),
  isOpen: z.boolean(),
  detail: z.string(),
})
export type Gate = z.infer<typeof gateSchema>

const changeSchema = z.strictObject({ what: z.string(), before: z.string(), after: z.string() })
export type Change = z.infer<typeof changeSchema>

export const releaseSchema = z.strictObject({
  name: z.string(),
  /** Derived from what is signed, never stored. */
  state: z.enum(["draft", "validated", "approved", "released", "retired", "revoked"]),
  /** Digest of the release index. */
  digest: z.string(),
  createdAt: z.string(),
  /** null until the release managers signed it. */
  counter: z.number().nullable(),
  hardwareIds: z.array(z.string()),
  packages: z.array(z.string()),
  payloadBytes: z.number(),
  devices: z.array(z.string()),
  rings: z.array(z.string()),
  gates: z.array(gateSchema),
  /** People who approved, and how many have to. */
  approvals: z.strictObject({ by: z.array(z.string()), needed: z.number() }),
  previous: z.string().nullable(),
  /** Everything that differs from the previous release. */
  changes: z.array(changeSchema),
  pending: pendingSchema.nullable(),
})
export type Release = z.infer<typeof releaseSchema>
export const releaseEventSchema = jobEventSchema(releaseSchema)

export const approveSchema = z.strictObject({
  name: nameSchema,
  key: nameSchema,
  /** Digest of the release as the approver saw it; another one is not signed (RELEASE_CHANGED). Null: whatever it is now. */
  digest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .nullable()
    .default(null),
})
export type ApproveRequest = z.infer<typeof approveSchema>
export const requestApprovalSchema = z.strictObject({ name: nameSchema, output: outputSchema })
export const lookAtApprovalSchema = z.strictObject({ request: fileRefSchema })
export const signApprovalSchema = z.strictObject({
  request: fileRefSchema,
  key: nameSchema,
  /** Digest of the release as the signer saw it; another one is not signed (RELEASE_CHANGED). Null: whatever it is. */
  digest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .nullable(),
  output: outputSchema,
})
export type SignApproval = z.infer<typeof signApprovalSchema>
export const approvalSignedSchema = z.strictObject({
  release: z.string(),
  digest: z.string(),
  key: z.string(),
})
export type ApprovalSigned = z.infer<typeof approvalSignedSchema>
export const attachSchema = z.strictObject({
  name: nameSchema,
  bundles: z.array(fileRefSchema).min(1).max(64),
})
export const publishSchema = z.strictObject({ name: nameSchema, ring: nameSchema })
export const rollbackReleaseSchema = z.strictObject({ ring: nameSchema, to: nameSchema })
export const revokeSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("package"), digest: z.string().regex(/^sha256:[0-9a-f]{64}$/) }),
  z.strictObject({ kind: z.literal("device"), name: nameSchema }),
  z.strictObject({ kind: z.literal("key"), key: nameSchema }),
])
export type Revoke = z.infer<typeof revokeSchema>
export const takenBackSchema = z.strictObject({ what: z.string(), pending: pendingSchema.nullable() })
export type Revoked = z.infer<typeof takenBackSchema>

const publishedSchema = z.strictObject({
  release: z.string(),
  counter: z.number(),
  ring: z.string(),
  devices: z.number(),
  /** Until when the devices can live with this without news. */
  expires: z.string(),
  seconds: z.number(),
})
export type Published = z.infer<typeof publishedSchema>
export const publishedEventSchema = jobEventSchema(publishedSchema)

export const ringSchema = z.strictObject({ name: z.string(), devices: z.array(z.string()) })
export const setRingSchema = z.strictObject({ name: nameSchema, devices: z.array(nameSchema).max(10_000) })
export type Ring = z.infer<typeof ringSchema>

export const receiptKeySchema = z.strictObject({ device: nameSchema, key: fileRefSchema })
export const fleetDeviceSchema = z.strictObject({
  device: z.string(),
  ring: z.string().nullable(),
  /** What the director says, and its counter. */
  wanted: z.string().nullable(),
  counter: z.number(),
  /** What the newest good receipt says. */
  running: z.string().nullable(),
  state: z.enum(["current", "behind", "failed", "no receipt", "nothing directed"]),
  receipts: z.strictObject({
    good: z.number(),
    refused: z.number(),
    /** Of the good ones, those with a quote of the device's TPM, checked. */
    quoted: z.number().optional(),
    /** Why receipts were refused, the newest last. */
    refusals: z
      .array(z.strictObject({ code: z.enum(errorCodes), reason: z.string(), at: z.string() }))
      .optional(),
  }),
  reportedAt: z.string().nullable(),
  detail: z.string(),
})
export type FleetDevice = z.infer<typeof fleetDeviceSchema>

export const exportSchema = z.strictObject({
  scope: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("ring"), ring: nameSchema }),
    z.strictObject({ kind: z.literal("device"), device: nameSchema }),
  ]),
  output: outputSchema,
})
export type ExportRequest = z.infer<typeof exportSchema>
const exportedSchema = z.strictObject({
  name: z.string(),
  bytes: z.number(),
  devices: z.number(),
  packages: z.number(),
  expires: z.string().nullable(),
})
export type Exported = z.infer<typeof exportedSchema>
export const exportedEventSchema = jobEventSchema(exportedSchema)
export const collectSchema = z.strictObject({ from: placeSchema })
export const importSchema = z.strictObject({ file: fileRefSchema })
export const importedSchema = z.strictObject({
  receipts: z.array(
    z.strictObject({
      device: z.string().nullable(),
      result: z.enum(["taken", "known", "refused"]),
      reason: z.string(),
    }),
  ),
})
export type Imported = z.infer<typeof importedSchema>
