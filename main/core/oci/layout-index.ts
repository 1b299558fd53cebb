/**
 * `index.json` of an OCI image layout folder as a list of entries, each a manifest with or without a tag. What other tools
 * wrote into an entry is kept.
 */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { toUtf8 } from "../bytes/bytes.ts"
import { parseJson } from "../bytes/json.ts"
import type { Descriptor, Digest } from "./manifest.ts"
import { MEDIA } from "./media-types.ts"

const TAG = "org.opencontainers.image.ref.name"

const entrySchema = z.looseObject({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  size: z.int().nonnegative(),
  annotations: z.record(z.string(), z.string()).optional(),
})
const layoutIndexSchema = z.looseObject({
  schemaVersion: z.literal(2),
  manifests: z.array(entrySchema).max(1_000_000),
})

export type LayoutEntry = z.infer<typeof entrySchema>

/** Throws SEAL_MALFORMED, JSON_MALFORMED. */
export function parseLayoutIndex(bytes: Uint8Array): readonly LayoutEntry[] {
  const parsed = layoutIndexSchema.safeParse(parseJson(bytes, "index.json"))
  if (!parsed.success) throw new AppError("SEAL_MALFORMED", "index.json of the folder is not an OCI index")
  return parsed.data.manifests
}

export function writeLayoutIndex(entries: readonly LayoutEntry[]): Uint8Array {
  return toUtf8(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.index, manifests: entries }))
}

export function tagOf(entry: LayoutEntry): string | null {
  return entry.annotations?.[TAG] ?? null
}

/** The manifest listed: an entry without tag once it has one is of no use. */
export function withManifest(
  entries: readonly LayoutEntry[],
  { mediaType, digest, size }: Descriptor,
  tag: string | null,
): readonly LayoutEntry[] {
  if (tag === null)
    return entries.some((entry) => entry.digest === digest)
      ? entries
      : [...entries, { mediaType, digest, size }]
  const before = entries.find((entry) => tagOf(entry) === tag)
  if (before?.digest === digest) return entries
  const others = entries.filter(
    (entry) => entry !== before && !(entry.digest === digest && tagOf(entry) === null),
  )
  // What the tag pointed to stays in the folder until somebody removes it, as in a registry.
  const kept =
    before === undefined || others.some((entry) => entry.digest === before.digest) ? [] : [untagged(before)]
  return [...others, ...kept, { mediaType, digest, size, annotations: { [TAG]: tag } }]
}

/** The tag moved without keeping what it pointed to. */
export function withReplaced(
  entries: readonly LayoutEntry[],
  { mediaType, digest, size }: Descriptor,
  tag: string,
): readonly LayoutEntry[] {
  return [
    ...entries.filter((entry) => tagOf(entry) !== tag),
    { mediaType, digest, size, annotations: { [TAG]: tag } },
  ]
}

export function withoutManifest(entries: readonly LayoutEntry[], digest: Digest): readonly LayoutEntry[] {
  return entries.filter((entry) => entry.digest !== digest)
}

function untagged({ mediaType, digest, size }: LayoutEntry): LayoutEntry {
  return { mediaType, digest, size }
}
