/** Who may sign what, and the ceremony by files. The types follow from the schemas. */
import { z } from "zod"
import { assuranceSchema, fileRefSchema, nameSchema, outputSchema } from "./base.ts"

/** What a key may be trusted with. `online` and `director` keys sign without a person. */
export const roleSchema = z.enum([
  "root",
  "release-manager",
  "approver",
  "packager",
  "auditor",
  "online",
  "director",
])
export type RoleName = z.infer<typeof roleSchema>

/** A key for a role: one of this workspace, or somebody else's public key in a PEM file. */
const signerSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("own"), name: nameSchema, person: nameSchema.nullable() }),
  z.strictObject({
    kind: z.literal("file"),
    file: fileRefSchema,
    person: nameSchema,
    /** What is claimed of the key; nothing here can show it. */
    assurance: assuranceSchema,
  }),
])
export type Signer = z.infer<typeof signerSchema>

const roleRequestSchema = z.strictObject({
  signers: z.array(signerSchema).min(1).max(64),
  threshold: z.int().positive().max(64).nullable(),
  assurance: assuranceSchema.nullable(),
})
const rolesRequestSchema = z.partialRecord(roleSchema, roleRequestSchema)
export type RolesRequest = z.infer<typeof rolesRequestSchema>

const gatesSchema = z.strictObject({
  approvals: z.int().nonnegative().max(64),
  validation: z.enum(["all", "any", "none"]),
})
const offlineDaysSchema = z.int().positive().max(3650)

export const initTrustSchema = z.strictObject({
  roles: rolesRequestSchema,
  gates: gatesSchema,
  /** The longest a device may stay without news, days. */
  offlineDays: offlineDaysSchema,
})
export type InitTrust = z.infer<typeof initTrustSchema>

export const changeTrustSchema = z.discriminatedUnion("kind", [
  /** Roles named are replaced; all documents get a new version and a new expiry. */
  z.strictObject({
    kind: z.literal("rotate"),
    roles: rolesRequestSchema,
    gates: gatesSchema.nullable(),
    offlineDays: offlineDaysSchema.nullable(),
  }),
  z.strictObject({
    kind: z.literal("add-key"),
    role: roleSchema,
    signer: signerSchema,
    threshold: z.int().positive().max(64).nullable(),
  }),
  z.strictObject({
    kind: z.literal("remove-key"),
    /** null: from every role it has. */
    role: roleSchema.nullable(),
    /** A key id or its beginning, or the name of a person. */
    key: z.string().min(1).max(64),
    threshold: z.int().positive().max(64).nullable(),
  }),
])
export type ChangeTrust = z.infer<typeof changeTrustSchema>

const needSchema = z.strictObject({
  /** Whose say-so: "root", "root before", a delegated role. */
  why: z.string(),
  threshold: z.number(),
  signedBy: z.array(z.string()),
  missing: z.array(z.string()),
})
const pendingDocumentSchema = z.strictObject({
  what: z.string(),
  /** SHA-256 of what is signed, hex. */
  fingerprint: z.string(),
  /** What the document says, line by line, for people. */
  says: z.array(z.string()),
  needs: z.array(needSchema),
})
export const pendingSchema = z.strictObject({
  title: z.string(),
  documents: z.array(pendingDocumentSchema),
  isComplete: z.boolean(),
})
export type Pending = z.infer<typeof pendingSchema>

export const trustSchema = z.strictObject({
  /** SHA-256 of each root document: what a device is provisioned with and people compare. null until signed. */
  roots: z
    .strictObject({
      image: z.strictObject({ version: z.number(), sha256: z.string(), expires: z.string() }),
      director: z.strictObject({ version: z.number(), sha256: z.string(), expires: z.string() }),
    })
    .nullable(),
  roles: z.array(
    z.strictObject({
      role: roleSchema,
      threshold: z.number(),
      assurance: assuranceSchema,
      keys: z.array(
        z.strictObject({
          keyId: z.string(),
          person: z.string(),
          assurance: assuranceSchema,
          /** Name of the key in this workspace; null when it is somebody else's. */
          here: z.string().nullable(),
        }),
      ),
    }),
  ),
  gates: gatesSchema.nullable(),
  offlineDays: z.number().nullable(),
  /** Until when devices can live without news. */
  freshUntil: z.string().nullable(),
  pending: pendingSchema.nullable(),
})
export type Trust = z.infer<typeof trustSchema>

export const lookSchema = z.strictObject({ request: fileRefSchema })
export const requestSignaturesSchema = z.strictObject({ output: outputSchema })
export const signRequestSchema = z.strictObject({
  request: fileRefSchema,
  key: nameSchema,
  output: outputSchema,
  /** Fingerprints the signer looked at; another document is not signed (TRUST_CHANGED). Null: whatever the file holds. */
  seen: z.array(z.string().length(64)).max(8).nullable().default(null),
})
export type SignRequest = z.infer<typeof signRequestSchema>
export const signedRequestSchema = z.strictObject({
  title: z.string(),
  key: z.string(),
  documents: z.array(z.strictObject({ what: z.string(), fingerprint: z.string() })),
})
export type SignedRequest = z.infer<typeof signedRequestSchema>
export const assembleSchema = z.strictObject({ answers: z.array(fileRefSchema).min(1).max(64) })
