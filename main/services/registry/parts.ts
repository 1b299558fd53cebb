/** Packages, grants and what is attached to them, as a repository has them: read, and checked against what they were asked for. */
import { AppError } from "../../contract/errors.ts"
import { attestationType } from "../../core/attest/statement.ts"
import { parseManifest, type Blob, type Descriptor, type Digest } from "../../core/oci/manifest.ts"
import { MEDIA } from "../../core/oci/media-types.ts"
import { MAX_GRANT_BYTES } from "../../core/policy/grant.ts"
import type { Referrer, Repository } from "../ports/registry.ts"
import { inParallel } from "./in-parallel.ts"

export const MANIFESTS_AT_ONCE = 8
/** As many parts as a .seal file can list. */
const MAX_PARTS = 10_000
const MAX_BUNDLE_BYTES = 4 << 20
const PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"

/** A package or grant, with what is attached to it. */
export interface Part {
  readonly repository: Repository
  readonly blob: Blob
  readonly layer: Descriptor
  readonly bundles: readonly AttachedPart[]
}

export interface AttachedPart {
  readonly blob: Blob
  readonly content: Blob
}

/** Which of the bundles attached to something come along. */
export type Wanted = (bundle: Referrer) => boolean

/** Receipts stay where they are: they are for the desk. */
export const NO_RECEIPTS: Wanted = (bundle) => !isAbout(bundle, "receipt")
export const NOTHING: Wanted = () => false

/** What the manifest of a bundle says that it carries. */
export function isAbout({ annotations }: Referrer, name: "receipt" | "grant"): boolean {
  return annotations[PREDICATE_TYPE] === attestationType(name)
}

/** In the order of `digests`. Throws SEAL_INCOMPLETE for one that is missing. */
export async function readParts(
  repository: Repository,
  digests: readonly Digest[],
  artifactType: string,
  wanted: Wanted = NO_RECEIPTS,
): Promise<readonly Part[]> {
  checkCount(digests.length)
  const parts = new Map<Digest, Part>()
  await inParallel(digests, MANIFESTS_AT_ONCE, async (digest) => {
    const part = await findPart(repository, digest, artifactType, wanted)
    if (part === null) throw missing(repository, digest)
    parts.set(digest, part)
  })
  return digests.flatMap((digest) => parts.get(digest) ?? [])
}

/** `null` when it is not there. */
export async function findPart(
  repository: Repository,
  digest: Digest,
  artifactType: string,
  wanted: Wanted,
): Promise<Part | null> {
  const found = await readManifest(repository, digest)
  if (found === null) return null
  const { blob, manifest, layer } = found
  if (manifest.artifactType !== artifactType || manifest.subject !== undefined)
    throw new AppError("SEAL_MALFORMED", `${digest.slice(0, 19)}… is not what it is listed as`)
  if (artifactType === MEDIA.grant && layer.size > MAX_GRANT_BYTES)
    throw new AppError("SEAL_MALFORMED", "a grant is larger than any overlay")
  return { repository, blob, layer, bundles: await readBundles(repository, digest, wanted) }
}

/** Bundles only: other things may be attached to anything by anybody, and none of them is believed here. */
export async function readBundles(
  repository: Repository,
  subject: Digest,
  wanted: Wanted,
): Promise<readonly AttachedPart[]> {
  if (wanted === NOTHING) return []
  const listed = (await repository.referrers(subject)).filter(
    (each) => each.artifactType === MEDIA.bundle && wanted(each),
  )
  checkCount(listed.length)
  const bundles: AttachedPart[] = []
  for (const { descriptor } of listed) {
    const found = await readManifest(repository, descriptor.digest)
    if (found === null) throw missing(repository, descriptor.digest)
    const { blob, manifest, layer } = found
    const isBundle = manifest.artifactType === MEDIA.bundle && layer.mediaType === MEDIA.bundle
    if (!isBundle || manifest.subject?.digest !== subject) continue
    const bytes = await repository.readBlob(layer, MAX_BUNDLE_BYTES)
    bundles.push({ blob, content: { descriptor: layer, bytes } })
  }
  return bundles
}

/** A manifest of ours, which has one layer. */
async function readManifest(repository: Repository, digest: Digest) {
  const blob = await repository.manifest(digest)
  if (blob === null) return null
  const manifest = parseManifest(blob.bytes)
  const [layer, ...more] = manifest.layers
  if (layer === undefined || more.length > 0)
    throw new AppError("SEAL_MALFORMED", "a manifest must have one layer")
  return { blob, manifest, layer }
}

export function checkCount(count: number): void {
  if (count > MAX_PARTS) throw new AppError("REGISTRY_TOO_LARGE", `more than ${MAX_PARTS} parts`)
}

function missing(repository: Repository, digest: Digest): AppError {
  return new AppError("SEAL_INCOMPLETE", `${digest.slice(0, 19)}… is missing in ${repository.name}`)
}
