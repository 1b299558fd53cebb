/** OCI manifests and indexes as Sealwright writes them (docs/FORMAT.md 3), and their strict reading. */
import { createHash } from "node:crypto"
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseBase64, toHex, toUtf8 } from "../bytes/bytes.ts"
import { parseJson } from "../bytes/json.ts"
import { EMPTY_CONFIG, MEDIA } from "./media-types.ts"

/** Manifests are small; a registry refuses more than 4 MiB. */
export const MAX_MANIFEST_BYTES = 4 << 20

/** `sha256:` and 64 lower-case hex digits. */
export type Digest = string

const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const sizeSchema = z.int().nonnegative()
const annotationsSchema = z.record(z.string(), z.string())

const descriptorSchema = z
  .strictObject({
    mediaType: z.string(),
    digest: digestSchema,
    size: sizeSchema,
    annotations: annotationsSchema.optional(),
    data: z.string().optional(),
  })
  .refine(isWhatItCarries, { path: ["data"], error: "the data is not what the digest names" })

/** A copy of the blob inside its descriptor is the blob: two readers must not see different ones. */
function isWhatItCarries({
  data,
  digest,
  size,
}: {
  data?: string | undefined
  digest: string
  size: number
}): boolean {
  if (data === undefined) return true
  const bytes = parseBase64(data)
  return bytes !== null && bytes.length === size && sha256Digest(bytes) === digest
}

const manifestSchema = z.strictObject({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MEDIA.manifest),
  artifactType: z.string(),
  config: descriptorSchema,
  layers: z.array(descriptorSchema).min(1).max(1024),
  subject: descriptorSchema.optional(),
  annotations: annotationsSchema.optional(),
})

const indexSchema = z.strictObject({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MEDIA.index).optional(),
  artifactType: z.string().optional(),
  // No artifactType on descriptors: a copy by skopeo would drop it and so change the index's digest.
  manifests: z.array(descriptorSchema).max(100_000),
  annotations: annotationsSchema.optional(),
})

export type Descriptor = z.infer<typeof descriptorSchema>
export type Manifest = z.infer<typeof manifestSchema>
export type Index = z.infer<typeof indexSchema>

/** Bytes with the descriptor that names them. */
export interface Blob {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

export function sha256Digest(bytes: Uint8Array): Digest {
  return toDigest(createHash("sha256").update(bytes).digest())
}

export function toDigest(sha256: Uint8Array): Digest {
  return `sha256:${toHex(sha256)}`
}

export function blobOf(mediaType: string, bytes: Uint8Array): Blob {
  return { descriptor: { mediaType, digest: sha256Digest(bytes), size: bytes.length }, bytes }
}

/** The manifest of a package over its payload layer. Everything in it is public. */
export function packageManifest(payload: { readonly digest: Digest; readonly size: number }): Blob {
  return manifest(MEDIA.package, {
    mediaType: MEDIA.payloadLayer,
    ...payload,
    annotations: title("payload.age"),
  })
}

/** The manifest of one device's grant. It has no subject: referrers would show the size of the fleet. */
export function grantManifest(grant: { readonly digest: Digest; readonly size: number }): Blob {
  return manifest(MEDIA.grant, { mediaType: MEDIA.grantLayer, ...grant, annotations: title("grant.age") })
}

/** The manifest that lists trust metadata by title, such as `image/1.root.json` (FORMAT 10.6). At least one document. */
export function trustManifest(
  documents: readonly { readonly name: string; readonly blob: Descriptor }[],
): Blob {
  return json(MEDIA.manifest, {
    schemaVersion: 2,
    mediaType: MEDIA.manifest,
    artifactType: MEDIA.trust,
    config: EMPTY_CONFIG,
    layers: documents.map(({ name, blob }) => ({ ...blob, annotations: title(name) })),
  })
}

/** The manifest that attaches a Sigstore bundle to `subject` (cosign's BUNDLE_SPEC). `createdAt`: RFC 3339. */
export function bundleManifest(
  subject: Descriptor,
  bundle: Descriptor,
  predicateType: string,
  createdAt: string,
  more: Readonly<Record<string, string>> = {},
): Blob {
  const { mediaType, digest, size } = subject
  return manifest(
    MEDIA.bundle,
    { ...bundle, annotations: title("bundle.sigstore.json") },
    {
      subject: { mediaType, digest, size },
      annotations: {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": predicateType,
        "org.opencontainers.image.created": createdAt,
        ...more,
      },
    },
  )
}

/** The index of everything in a .seal file. */
export function sealIndex(manifests: readonly Descriptor[]): Blob {
  return json(MEDIA.index, { schemaVersion: 2, mediaType: MEDIA.index, artifactType: MEDIA.seal, manifests })
}

/** `index.json` of the layout: one entry, so that tools need no tag to find it. */
export function layoutIndex(index: Descriptor): Uint8Array {
  return toUtf8(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.index, manifests: [index] }))
}

export const LAYOUT_FILE = toUtf8('{"imageLayoutVersion":"1.0.0"}')

/** Throws SEAL_MALFORMED unless the bytes are exactly a layout marker of version 1. */
export function checkLayoutFile(bytes: Uint8Array): void {
  parse(z.looseObject({ imageLayoutVersion: z.literal("1.0.0") }), bytes, "oci-layout")
}

export function parseManifest(bytes: Uint8Array): Manifest {
  const parsed = parse(manifestSchema, bytes, "a manifest")
  if (parsed.config.digest !== EMPTY_CONFIG.digest || parsed.config.mediaType !== EMPTY_CONFIG.mediaType) {
    throw new AppError("SEAL_MALFORMED", "a manifest has a configuration; packages have none")
  }
  return parsed
}

export function parseIndex(bytes: Uint8Array, what: string): Index {
  return parse(indexSchema, bytes, what)
}

function manifest(artifactType: string, layer: Descriptor, more: Partial<Manifest> = {}): Blob {
  return json(MEDIA.manifest, {
    schemaVersion: 2,
    mediaType: MEDIA.manifest,
    artifactType,
    config: EMPTY_CONFIG,
    layers: [layer],
    ...more,
  })
}

function json(mediaType: string, value: object): Blob {
  return blobOf(mediaType, toUtf8(JSON.stringify(value)))
}

function title(name: string): Record<string, string> {
  return { "org.opencontainers.image.title": name }
}

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, what: string): T {
  const result = schema.safeParse(parseJson(bytes, what))
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new AppError(
    "SEAL_MALFORMED",
    `${what} is not valid: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
  )
}
