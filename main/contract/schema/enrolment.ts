/** Making a device known with proof of where its keys live. The types follow from the schemas. */
import { z } from "zod"
import { assuranceSchema, fileRefSchema, nameSchema, outputSchema } from "./base.ts"
import { deviceSchema, keyPlaceSchema } from "./keys.ts"
import { checkSchema } from "./verify.ts"

// On the device ----------------------------------------------------------------------------------------------------------

export const initDeviceSchema = z.strictObject({
  name: nameSchema,
  /** Where the device's keys are to live. */
  place: keyPlaceSchema,
  /** What names the hardware, such as a serial number; null takes the fingerprint of its endorsement or signing key. */
  hardwareId: z.string().min(1).max(64).nullable(),
  request: outputSchema,
})
export type InitDevice = z.infer<typeof initDeviceSchema>

export const initialisedSchema = z.strictObject({
  device: deviceSchema,
  hardwareId: z.string(),
  signingFingerprint: z.string(),
  /** SHA-256 of the endorsement key's SPKI, hex; null without a TPM. */
  endorsementFingerprint: z.string().nullable(),
  hasEndorsementCertificate: z.boolean(),
  file: z.string(),
})
export type Initialised = z.infer<typeof initialisedSchema>

export const respondSchema = z.strictObject({ challenge: fileRefSchema, output: outputSchema })
export const respondedSchema = z.strictObject({ device: z.string(), expiresAt: z.string(), file: z.string() })
export type Responded = z.infer<typeof respondedSchema>

export const acceptSchema = z.strictObject({ certificates: fileRefSchema })
export const acceptedSchema = z.strictObject({
  device: z.string(),
  assurance: assuranceSchema,
  authority: z.string(),
  notAfter: z.string(),
})
export type Accepted = z.infer<typeof acceptedSchema>

// At the desk ------------------------------------------------------------------------------------------------------------

export const enrolSchema = z.strictObject({
  /** A device's request or its answer to a challenge: which one is seen from the file. */
  file: fileRefSchema,
  /** Where the challenge or the certificates go. */
  output: outputSchema,
  /** A folder or file with the root certificates of TPM makers. */
  roots: fileRefSchema.nullable(),
  /** Fingerprint of an endorsement key the operator vouches for. */
  approve: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  /** Takes a TPM nobody vouches for, at level hardware. */
  allowUnattested: z.boolean(),
  /** Days the challenge may be answered, and years the certificates are valid. */
  challengeDays: z.int().min(1).max(90).default(7),
  certificateYears: z.int().min(1).max(30).default(10),
})
export type Enrol = z.infer<typeof enrolSchema>

export const enrolledSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("challenged"),
    device: z.string(),
    checks: z.array(checkSchema),
    expiresAt: z.string(),
    file: z.string(),
  }),
  z.strictObject({
    kind: z.literal("enrolled"),
    device: deviceSchema,
    checks: z.array(checkSchema),
    notAfter: z.string(),
    file: z.string(),
  }),
  z.strictObject({ kind: z.literal("refused"), device: z.string(), checks: z.array(checkSchema) }),
])
export type Enrolled = z.infer<typeof enrolledSchema>

export const revocationSchema = z.strictObject({
  /** Names of devices whose certificates are withdrawn from now on. */
  devices: z.array(nameSchema).max(10_000),
  output: outputSchema,
  validDays: z.int().min(1).max(3650).default(30),
})
export type RevocationRequest = z.infer<typeof revocationSchema>
export const revokedSchema = z.strictObject({
  number: z.number(),
  serials: z.array(z.string()),
  nextUpdate: z.string(),
  file: z.string(),
})
export type RevocationIssued = z.infer<typeof revokedSchema>
