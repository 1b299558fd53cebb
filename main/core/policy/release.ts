/** Releases: the index that lists their packages, what the image role says of them, and the statements gates ask for. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseJson } from "../bytes/json.ts"
import { toUtf8 } from "../bytes/bytes.ts"
import { blobOf, parseIndex, type Blob, type Descriptor, type Digest } from "../oci/manifest.ts"
import { MEDIA } from "../oci/media-types.ts"

const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const counterSchema = z.int().positive()
const hardwareIdSchema = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/)

/** What image and director must say alike of a release (Uptane, SHALL-match section). */
export const matchSchema = z.strictObject({
  /** Grows with every release; no device goes below the one it committed. */
  releaseCounter: counterSchema,
  hardwareIds: z.array(hardwareIdSchema).min(1).max(64),
})

/** Target path of a release in both repositories. */
export function releasePath(name: string): string {
  return `releases/${name}`
}

/** Field of the image role `release-manager`: digests of packages that may not be used any more. */
export const REVOKED = "x-sealwright-revoked"
export const revokedSchema = z.array(digestSchema).max(10_000).default([])

/** The index of a release: its packages, sorted, so that the same packages are the same release. */
export function releaseIndex(packages: readonly Descriptor[]): Blob {
  const manifests = packages
    .map(({ mediaType, digest, size }) => ({ mediaType, digest, size }))
    .sort((a, b) => (a.digest < b.digest ? -1 : 1))
  const index = { schemaVersion: 2, mediaType: MEDIA.index, artifactType: MEDIA.release, manifests }
  return blobOf(MEDIA.index, toUtf8(JSON.stringify(index)))
}

/** The packages of a release. Throws SEAL_MALFORMED. */
export function readReleaseIndex(bytes: Uint8Array): readonly Digest[] {
  const index = parseIndex(bytes, "the release index")
  if (index.artifactType !== MEDIA.release)
    throw new AppError("SEAL_MALFORMED", "the index is not the index of a release")
  return index.manifests.map(({ digest }) => digest)
}

/** Milliseconds. */
const latencySchema = z.looseObject({ p50: z.number() })

/** `urn:sealwright:attestation:validation:v1`: how a package compares with its plain model (FORMAT 10.3). */
export const validationPredicateSchema = z.looseObject({
  createdAt: z.string(),
  tool: z.string(),
  gate: z.looseObject({ passed: z.boolean() }),
  equality: z.looseObject({ rows: z.number(), identicalRows: z.number() }).optional(),
  accuracy: z.looseObject({ kind: z.string(), plain: z.number(), sealed: z.number() }).nullish(),
  latencyMs: z.looseObject({ plain: latencySchema, sealed: latencySchema }).optional(),
})
export type ValidationPredicate = z.infer<typeof validationPredicateSchema>

/** `urn:sealwright:attestation:approval:v1`: a person says that a release may go out. */
export const approvalPredicateSchema = z.looseObject({ release: z.string(), createdAt: z.string() })

/** A JSON document of ours, or SEAL_MALFORMED. */
export function readJson<T>(schema: z.ZodType<T>, bytes: Uint8Array, what: string): T {
  const parsed = schema.safeParse(parseJson(bytes, what))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new AppError(
    "SEAL_MALFORMED",
    `${what} is not valid: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
  )
}
