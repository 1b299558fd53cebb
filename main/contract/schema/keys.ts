/** Keys and devices. The types follow from the schemas. */
import { z } from "zod"
import { assuranceSchema, nameSchema } from "./base.ts"

export const keySchema = z.strictObject({
  name: z.string(),
  purpose: z.enum(["signing", "device"]),
  algorithm: z.enum(["P-256", "X25519"]),
  provider: z.enum(["software"]),
  assurance: assuranceSchema,
  /** SPKI PEM of a P-256 key. */
  publicKeyPem: z.string().nullable(),
  /** Recipient text of a device key. */
  recipient: z.string().nullable(),
  /** SHA-256 of the public key as the field names it: the hint in signatures, hex. */
  fingerprint: z.string(),
  createdAt: z.string(),
})
export type Key = z.infer<typeof keySchema>

export const createKeySchema = z.strictObject({
  name: nameSchema,
  purpose: z.enum(["signing", "device"]),
})

export const deviceSchema = z.strictObject({
  name: z.string(),
  recipient: z.string(),
  recipientType: z.string(),
  assurance: assuranceSchema,
  /** Whether this workspace also holds the device's private key. */
  holdsKey: z.boolean(),
  addedAt: z.string(),
})
export type Device = z.infer<typeof deviceSchema>

export const addDeviceSchema = z.strictObject({
  name: nameSchema,
  /** Exactly one way to the device's key: its public text, a fresh software key, or a device key of this workspace. */
  key: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("recipient"), recipient: z.string() }),
    z.strictObject({ kind: z.literal("software") }),
    z.strictObject({ kind: z.literal("key"), name: nameSchema }),
  ]),
})

export const namedSchema = z.strictObject({ name: nameSchema })
