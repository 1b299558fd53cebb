/** Keys and devices. The types follow from the schemas. */
import { z } from "zod"
import { assuranceSchema, nameSchema } from "./base.ts"

/** Signing keys sign, device keys decrypt, the authority key issues certificates, attestation keys vouch for the state and the other keys of their chip. */
const purposeSchema = z.enum(["signing", "device", "attestation", "authority"])

/** `RSA` stands for RSA-PSS with SHA-256, of keys a token had before; `P-256+ML-KEM-768` is the hybrid `age1tagpq1…`. */
const algorithmSchema = z.enum(["P-256", "X25519", "P-256+ML-KEM-768", "RSA"])

export const keySchema = z.strictObject({
  name: z.string(),
  purpose: purposeSchema,
  algorithm: algorithmSchema,
  provider: z.enum(["software", "keyring", "tpm2", "pkcs11"]),
  assurance: assuranceSchema,
  /** What the assurance level rests on, one fact each, for people. */
  evidence: z.array(z.string()),
  /** Where the private half lives, for people: a kind of file, a handle, a token's URI. Holds no secret. */
  location: z.string(),
  /** What has to be typed before the key works. */
  unlock: z.enum(["nothing", "passphrase", "pin", "auth"]),
  /** SPKI PEM of a P-256 or RSA key. */
  publicKeyPem: z.string().nullable(),
  /** Recipient text of a device key. */
  recipient: z.string().nullable(),
  /** SHA-256 of the public key as the field names it: the hint in signatures, hex. */
  fingerprint: z.string(),
  createdAt: z.string(),
})
export type Key = z.infer<typeof keySchema>

/** Handle of an object kept in a TPM by its owner (TPM 2.0 library part 2, 7.5.2). */
const persistentHandleSchema = z.int().min(0x81000000).max(0x817fffff)

/** Where a new key is to live, or an existing one lives. */
export const keyPlaceSchema = z.discriminatedUnion("provider", [
  z.strictObject({
    provider: z.literal("software"),
    /** Whether a passphrase is asked for and needed from then on. */
    passphrase: z.boolean(),
  }),
  /** The secret store of the operating system. */
  z.strictObject({ provider: z.literal("keyring") }),
  z.strictObject({
    provider: z.literal("tpm2"),
    /** How to reach the TPM, in tpm2-tss syntax (`device:/dev/tpmrm0`); null finds it. */
    tcti: z.string().max(512).nullable(),
    /** Takes the key at this persistent handle, made by other software, instead of making one. */
    adopt: persistentHandleSchema.nullable(),
    /** Keeps the new key inside the TPM instead of a blob only this TPM can load. */
    persistent: z.boolean(),
    /** Whether the key gets an authorisation value, asked for now and at every use. */
    auth: z.boolean(),
    /** SHA-256 PCRs whose present values the key is bound to. */
    pcrs: z.array(z.int().min(0).max(23)).max(24),
  }),
  z.strictObject({
    provider: z.literal("pkcs11"),
    /** RFC 7512: which module and token, and for an existing key which object. */
    uri: z.string().max(2048),
    /** Takes the key the URI names instead of making one. */
    adopt: z.boolean(),
  }),
])
export type KeyPlace = z.infer<typeof keyPlaceSchema>

export const createKeySchema = z.strictObject({
  name: nameSchema,
  purpose: purposeSchema,
  /** P-256 unless a hybrid or an age X25519 device key is wanted. */
  algorithm: z.enum(["P-256", "X25519", "P-256+ML-KEM-768"]).default("P-256"),
  place: keyPlaceSchema.default({ provider: "software", passphrase: false }),
})

export const deviceSchema = z.strictObject({
  name: z.string(),
  recipient: z.string(),
  recipientType: z.string(),
  assurance: assuranceSchema,
  /** Whether this workspace also holds the device's private key. */
  holdsKey: z.boolean(),
  addedAt: z.string(),
  /** What an enrolment proved; null for a device that was only named. */
  enrolment: z
    .strictObject({
      hardwareId: z.string(),
      signingPem: z.string(),
      decryptionPem: z.string().nullable(),
      /** TPMT_PUBLIC of the key that quotes, base64; absent for a device without a TPM. */
      attestationKey: z.string().optional(),
      evidence: z.array(z.string()),
    })
    .nullable()
    .default(null),
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
