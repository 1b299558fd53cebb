/**
 * Documents of a registry that others write too: what a manifest says about itself, and the index that lists the
 * referrers of a manifest (OCI image-spec 1.1 and distribution-spec 1.1, "Referrers Tag Schema"). Unlike our own manifests
 * they are read leniently: unknown fields are kept out of the way, not refused.
 */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { toUtf8 } from "../bytes/bytes.ts"
import { parseJson } from "../bytes/json.ts"
import { blobOf, type Blob, type Descriptor, type Digest } from "./manifest.ts"
import { MEDIA } from "./media-types.ts"

/** An index this long is an attack or an accident; a manifest has a handful of bundles. */
const MAX_REFERRERS = 10_000

const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const mediaTypeSchema = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[\w.+/-]+$/)
const annotationsSchema = z.record(z.string(), z.string())

const descriptorSchema = z.looseObject({
  mediaType: mediaTypeSchema,
  digest: digestSchema,
  size: z.int().nonnegative(),
  artifactType: z.string().optional(),
  annotations: annotationsSchema.optional(),
})

const indexSchema = z.looseObject({
  manifests: z.array(descriptorSchema).max(MAX_REFERRERS),
})

const manifestSchema = z.looseObject({
  mediaType: mediaTypeSchema.optional(),
  artifactType: z.string().optional(),
  config: z.looseObject({ mediaType: z.string() }).optional(),
  subject: descriptorSchema.optional(),
  annotations: annotationsSchema.optional(),
})

/** A line of a referrers index. */
export interface ReferrerEntry {
  readonly descriptor: Descriptor
  /** `null` when the index does not say; then the manifest does. */
  readonly artifactType: string | null
  readonly annotations: Readonly<Record<string, string>>
}

export interface ManifestHead {
  readonly mediaType: string
  readonly artifactType: string
  /** What it is attached to. */
  readonly subject: Digest | null
  readonly annotations: Readonly<Record<string, string>>
}

/** What a manifest says about itself. Throws REGISTRY_MISBEHAVED. */
export function readManifestHead(bytes: Uint8Array): ManifestHead {
  const manifest = parse(manifestSchema, bytes, "a manifest")
  return {
    mediaType: manifest.mediaType ?? MEDIA.manifest,
    artifactType: manifest.artifactType ?? manifest.config?.mediaType ?? "",
    subject: manifest.subject?.digest ?? null,
    annotations: manifest.annotations ?? {},
  }
}

/** The entries of a referrers index, in its order. Throws REGISTRY_MISBEHAVED. */
export function readReferrerIndex(bytes: Uint8Array): readonly ReferrerEntry[] {
  return parse(indexSchema, bytes, "a list of referrers").manifests.map(
    ({ mediaType, digest, size, artifactType, annotations }) => ({
      descriptor: { mediaType, digest, size },
      artifactType: artifactType ?? null,
      annotations: annotations ?? {},
    }),
  )
}

/**
 * The index for the fallback tag. Its descriptors carry `artifactType`, as the specification demands: nobody pins this index
 * by digest, and a copy that drops the field still lists the same manifests.
 */
export function referrerIndex(entries: readonly ReferrerEntry[]): Blob {
  const manifests = entries.map(({ descriptor, artifactType, annotations }) => ({
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.size,
    ...(artifactType === null ? {} : { artifactType }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  }))
  return blobOf(MEDIA.index, toUtf8(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.index, manifests })))
}

/** The entry of a manifest in the index of its subject. */
export function toReferrerEntry(manifest: Blob, head: ManifestHead): ReferrerEntry {
  const { mediaType, digest, size } = manifest.descriptor
  return {
    descriptor: { mediaType, digest, size },
    artifactType: head.artifactType,
    annotations: head.annotations,
  }
}

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, what: string): T {
  const result = schema.safeParse(parseJson(bytes, what))
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new AppError(
    "REGISTRY_MISBEHAVED",
    `${what} is not valid: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
  )
}
