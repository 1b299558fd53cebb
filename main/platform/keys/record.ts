/** What a workspace keeps of a key: what everybody may know of it, and where its provider finds the private half. */
import { z } from "zod"
import { keySchema, type Key } from "../../contract/schema/keys.ts"

const placeSchema = z.discriminatedUnion("provider", [
  /** A file beside the record: as it is, or sealed under a passphrase. */
  z.strictObject({ provider: z.literal("software"), sealing: z.enum(["plain", "argon2id"]) }),
])

/** Records of keys made before there was a choice of places lack the last four fields. */
export const keyRecordSchema = keySchema.extend({
  evidence: z.array(z.string()).default([]),
  location: z.string().default("a file of this workspace"),
  unlock: keySchema.shape.unlock.default("nothing"),
  place: placeSchema.default({ provider: "software", sealing: "plain" }),
})

export type KeyRecord = z.infer<typeof keyRecordSchema>
export type PlaceRecord = KeyRecord["place"]

/** The part of a record that clients see. */
export function toKey(record: KeyRecord): Key {
  const { place, ...key } = record
  void place
  return key
}
