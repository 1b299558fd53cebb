/** Enrolments as files of the workspace. */
import path from "node:path"
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { base64Bytes } from "../../core/attest/document.ts"
import { toBase64 } from "../../core/bytes/bytes.ts"
import type {
  AuthorityRecord,
  Enrolments,
  IssuedCertificates,
  OwnRequest,
  PendingChallenge,
} from "../../services/ports/enrolment.ts"
import { Records, removeFile, readIfThere, writePrivate } from "../workspace/records.ts"

const pendingSchema = z.strictObject({
  id: z.string(),
  request: base64Bytes,
  nonce: base64Bytes,
  tokenDigest: base64Bytes,
  secretDigest: base64Bytes.nullable(),
  expiresAt: z.string(),
  endorsement: z.enum(["certificate", "approval", "none"]),
  evidence: z.string(),
})
const issuedSchema = z.strictObject({
  device: z.string(),
  serials: z.array(z.string()),
  revokedAt: z.string().nullable(),
})
const authoritySchema = z.strictObject({ certificate: base64Bytes, listNumber: z.int().nonnegative() })
const ownSchema = z.strictObject({
  device: z.string(),
  request: base64Bytes,
  endorsementKind: z.enum(["rsa-2048", "p-256"]).nullable(),
})

/** A record as JSON: byte strings in base64. */
type Stored<T> = { [K in keyof T]: T[K] extends Uint8Array | null ? string | null : T[K] }

const AUTHORITY = "authority"

/** `folder`: the workspace's `enrolment`. */
export function enrolmentFiles(folder: string): Enrolments {
  const codes = { missing: "DEVICE_NOT_FOUND", exists: "DEVICE_EXISTS" } as const
  const recordsOf = <T>(name: string, schema: z.ZodType<T>) =>
    new Records<T>(path.join(folder, name), schema, codes)
  const pending = recordsOf("pending", pendingSchema)
  const issued = recordsOf("issued", issuedSchema)
  const authority = recordsOf("authority", authoritySchema)
  const own = recordsOf("own", ownSchema)
  return {
    authority: async () => ((await authority.has(AUTHORITY)) ? authority.find(AUTHORITY) : null),
    saveAuthority: async (record) => replace(authority, AUTHORITY, toStored<AuthorityRecord>(record)),
    addPending: async (challenge) => add(pending, challenge.id, toStored<PendingChallenge>(challenge)),
    findPending: async (id) => ((await pending.has(id)) ? pending.find(id) : null),
    removePending: async (id) => pending.remove(id),
    saveIssued: async (record) => replace(issued, record.device, toStored<IssuedCertificates>(record)),
    listIssued: async () => issued.list(),
    saveOwn: async (record) => replace(own, record.device, toStored<OwnRequest>(record)),
    findOwn: async (device) => ((await own.has(device)) ? own.find(device) : null),
    async saveCertificates(device, pems) {
      for (const [kind, pem] of Object.entries(pems)) {
        const file = path.join(folder, "certificates", `${device}.${kind}.pem`)
        if ((await readIfThere(file)) !== null) await removeFile(file)
        if (pem !== null)
          await writePrivate(file, pem, new AppError("DEVICE_EXISTS", `${device} has certificates`))
      }
    },
  }
}

/** The records' own type is what is read; what is written is its JSON form, which reads as the same. */
async function add<T>(records: Records<T>, name: string, stored: object): Promise<void> {
  await records.add(name, stored as T) // `Records` only ever stringifies what it is given
}

async function replace<T>(records: Records<T>, name: string, stored: object): Promise<void> {
  await records.replace(name, stored as T) // as in `add`
}

function toStored<T extends object>(record: T): Stored<T> {
  const entries = Object.entries(record).map(([name, value]: [string, unknown]) => [
    name,
    value instanceof Uint8Array ? toBase64(value) : value,
  ])
  // The keys are those of the record, and only byte strings changed.
  return Object.fromEntries(entries) as Stored<T>
}
