/**
 * Documents on their way to enough signatures. A workspace has one draft; signatures are added by keys that are here and by
 * answers to a request file, and when every need is met the documents become part of the repositories, together.
 */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { assuranceSchema } from "../../contract/schema/base.ts"
import type { Pending } from "../../contract/schema/trust.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { parseJson } from "../../core/bytes/json.ts"
import type { RolePlan, Signed } from "../../core/tuf/plan.ts"
import {
  fingerprintOf,
  isSignedBy,
  signatureSchema,
  toMetadataBytes,
  type Signature,
} from "../../core/tuf/signing.ts"
import type { Ports } from "../ports.ts"
import { describeDocument } from "./describe-document.ts"
import { ownKeys, signDocument } from "./own-keys.ts"

const needSchema = z.strictObject({
  why: z.string().max(200),
  threshold: z.int().positive(),
  keys: z
    .array(
      z.strictObject({
        keyId: z.string(),
        pem: z.string().max(2000),
        person: z.string().max(64),
        assurance: assuranceSchema,
      }),
    )
    .max(64),
})
export type Need = z.infer<typeof needSchema>

const documentSchema = z.strictObject({
  repository: z.enum(["image", "director"]),
  role: z.enum(["root", "targets", "release-manager"]),
  version: z.int().positive(),
  signed: z.record(z.string(), z.unknown()),
  signatures: z.array(signatureSchema).max(256),
  needs: z.array(needSchema).max(4),
})
export type DraftDocument = z.infer<typeof documentSchema>

export const draftSchema = z.strictObject({
  kind: z.literal("sealwright-signing-request"),
  version: z.literal(1),
  title: z.string().max(200),
  documents: z.array(documentSchema).min(1).max(8),
})
export type Draft = z.infer<typeof draftSchema>

const NAME = "tuf/draft.json"

export function draftOf(title: string, documents: readonly DraftDocument[]): Draft {
  return { kind: "sealwright-signing-request", version: 1, title, documents: [...documents] }
}

export function documentOf(
  repository: DraftDocument["repository"],
  role: DraftDocument["role"],
  signed: Signed & { readonly version?: unknown },
  needs: readonly Need[],
): DraftDocument {
  const version = Number(signed.version)
  return { repository, role, version, signed: { ...signed }, signatures: [], needs: [...needs] }
}

export function needOf(why: string, role: RolePlan): Need {
  return { why, threshold: role.threshold, keys: role.keys.map((key) => ({ ...key })) }
}

export async function readDraft(ports: Ports): Promise<Draft | null> {
  const bytes = await ports.documents.read(NAME)
  if (bytes === null) return null
  const parsed = draftSchema.safeParse(parseJson(bytes, "the draft"))
  if (parsed.success) return parsed.data
  throw new AppError("WORKSPACE_UNUSABLE", "the draft of this workspace is damaged")
}

export async function keepDraft(ports: Ports, draft: Draft): Promise<void> {
  await ports.documents.write(NAME, toUtf8(JSON.stringify(draft)))
}

export async function dropDraft(ports: Ports): Promise<void> {
  await ports.documents.remove(NAME)
}

/** Adds what the keys of this workspace can sign. */
export async function signDraft(ports: Ports, draft: Draft): Promise<Draft> {
  const own = await ownKeys(ports)
  const documents: DraftDocument[] = []
  for (const document of draft.documents) {
    let signed = document
    for (const trusted of signersOf(document)) {
      const key = own.get(trusted.keyId)
      if (key === undefined || isMet(signed) || hasSigned(signed, trusted.keyId)) continue
      signed = withSignature(signed, await signDocument(ports, key, trusted, document.signed))
    }
    documents.push(signed)
  }
  return { ...draft, documents }
}

/** Adds a signature somebody else made. Throws TRUST_CHANGED when it is for nothing in the draft, SIGNATURE_INVALID when it does not hold. */
export function addSignature(draft: Draft, fingerprint: string, signature: Signature): Draft {
  const document = draft.documents.find((each) => fingerprintOf(each.signed) === fingerprint)
  if (document === undefined)
    throw new AppError(
      "TRUST_CHANGED",
      `the draft holds nothing with fingerprint ${fingerprint.slice(0, 16)}…`,
    )
  const trusted = signersOf(document).find(({ keyId }) => keyId === signature.keyid)
  if (trusted === undefined)
    throw new AppError("ROLE_MISSING", `key ${signature.keyid.slice(0, 16)}… is not asked to sign this`)
  if (!isSignedBy(document.signed, trusted, signature))
    throw new AppError(
      "SIGNATURE_INVALID",
      `the signature of ${trusted.person} does not belong to this draft`,
    )
  if (hasSigned(document, signature.keyid)) return draft
  return {
    ...draft,
    documents: draft.documents.map((each) => (each === document ? withSignature(each, signature) : each)),
  }
}

export function isComplete(draft: Draft): boolean {
  return draft.documents.every(isMet)
}

export function toBytes(document: DraftDocument): Uint8Array {
  return toMetadataBytes(document.signed, document.signatures)
}

export function describeDraft(draft: Draft): Pending {
  return {
    title: draft.title,
    documents: draft.documents.map((document) => ({
      what: whatOf(document),
      fingerprint: fingerprintOf(document.signed),
      says: [...describeDocument(document.signed)],
      needs: document.needs.map(({ why, threshold, keys }) => ({
        why,
        threshold,
        signedBy: keys.filter(({ keyId }) => hasSigned(document, keyId)).map(({ person }) => person),
        missing: keys.filter(({ keyId }) => !hasSigned(document, keyId)).map(({ person }) => person),
      })),
    })),
    isComplete: isComplete(draft),
  }
}

export function whatOf({ repository, role, version }: DraftDocument): string {
  return `${repository} ${role}, version ${version}`
}

/** Keys asked to sign, each once. */
export function signersOf(document: DraftDocument): readonly Need["keys"][number][] {
  const keys = new Map(document.needs.flatMap((need) => need.keys).map((key) => [key.keyId, key]))
  return [...keys.values()]
}

function isMet(document: DraftDocument): boolean {
  return document.needs.every(
    ({ keys, threshold }) => keys.filter(({ keyId }) => hasSigned(document, keyId)).length >= threshold,
  )
}

function hasSigned(document: DraftDocument, keyId: string): boolean {
  return document.signatures.some(({ keyid }) => keyid === keyId)
}

function withSignature(document: DraftDocument, signature: Signature): DraftDocument {
  return { ...document, signatures: [...document.signatures, signature] }
}
