/** What a workspace keeps of a key: what everybody may know of it, and where its provider finds the private half. */
import { z } from "zod"
import { keySchema, type Key } from "../../contract/schema/keys.ts"

const placeSchema = z.discriminatedUnion("provider", [
  /** A file beside the record: as it is, or sealed under a passphrase. */
  z.strictObject({ provider: z.literal("software"), sealing: z.enum(["plain", "argon2id"]) }),
  /** The name of an entry in the secret store. */
  z.strictObject({ provider: z.literal("keyring"), entry: z.string().regex(/^[0-9a-f]{32}$/) }),
  /** TPM structures and names in base64. A key with another name than the recorded one is refused. */
  z.strictObject({
    provider: z.literal("tpm2"),
    tcti: z.string().nullable(),
    object: z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("blob"), public: z.string(), private: z.string() }),
      z.strictObject({ kind: z.literal("persistent"), handle: z.int(), isAdopted: z.boolean() }),
    ]),
    name: z.string(),
    /** Name of the storage key every session is salted with. */
    parentName: z.string(),
    pcrs: z.array(z.int().min(0).max(23)),
    /** Of a hybrid key: its ML-KEM seed, sealed by the same storage key. */
    seed: z.strictObject({ public: z.string(), private: z.string(), name: z.string() }).nullable(),
  }),
  /** RFC 7512: module, token, and the key's label and id. */
  z.strictObject({ provider: z.literal("pkcs11"), uri: z.string(), isAdopted: z.boolean() }),
])

/** Certificates kept with a key. */
export const MAX_CHAIN = 32

/** Records of keys made before there was a choice of places lack the fields with defaults. */
export const keyRecordSchema = keySchema.extend({
  evidence: z.array(z.string()).default([]),
  location: z.string().default("a file of this workspace"),
  unlock: keySchema.shape.unlock.default("nothing"),
  place: placeSchema.default({ provider: "software", sealing: "plain" }),
  /** Certificates an authority gave the key, DER in base64, its own first. */
  chain: z.array(z.string()).max(MAX_CHAIN).default([]),
})

export type KeyRecord = z.infer<typeof keyRecordSchema>
export type PlaceRecord = KeyRecord["place"]

/** The part of a record that clients see. */
export function toKey(record: KeyRecord): Key {
  const { place, chain, ...key } = record
  void [place, chain]
  return key
}
