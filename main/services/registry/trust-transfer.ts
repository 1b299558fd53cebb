/** Trust metadata on its way into a repository and out of it. It lies in `NAME/trust`, one tag a device and one for all. */
import { AppError } from "../../contract/errors.ts"
import { blobOf, type Blob, type Descriptor } from "../../core/oci/manifest.ts"
import { MEDIA } from "../../core/oci/media-types.ts"
import { trustDocuments, trustTag, trustVersion } from "../../core/oci/trust-manifest.ts"
import { MAX_BYTES } from "../../core/tuf/metadata.ts"
import type { Repository } from "../ports/registry.ts"
import { inParallel } from "./in-parallel.ts"

const MANIFESTS_AT_ONCE = 8
/** As many as a .seal file can list. */
const MAX_MANIFESTS = 10_000

export function trustRepository(repository: Repository): Repository {
  return repository.below("trust")
}

/**
 * Whether `tag` is to be pointed at this manifest: not when it does already. Throws METADATA_ROLLBACK when it points to newer
 * metadata: devices would refuse what is older, and the fleet would stand still.
 */
export async function isNewTrust(trust: Repository, manifest: Blob): Promise<boolean> {
  const documents = trustDocuments(manifest.bytes)
  const tag = trustTag(documents)
  const there = await trust.manifest(tag)
  if (there === null) return true
  if (there.descriptor.digest === manifest.descriptor.digest) return false
  const [ours, theirs] = [trustVersion(documents), trustVersion(trustDocuments(there.bytes))]
  if (ours < theirs)
    throw new AppError(
      "METADATA_ROLLBACK",
      `${trust.name}:${tag} is at version ${theirs}, this file at ${ours}`,
    )
  return true
}

export interface TrustPart {
  readonly manifest: Blob
  readonly documents: readonly Blob[]
}

/** All trust metadata of a repository, the shared part first. Empty where there is none. */
export async function readAllTrust(trust: Repository): Promise<readonly TrustPart[]> {
  const tags = await trust.tags()
  if (tags.length > MAX_MANIFESTS)
    throw new AppError("REGISTRY_TOO_LARGE", `more than ${MAX_MANIFESTS} devices`)
  const parts = new Map<string, TrustPart>()
  await inParallel(tags, MANIFESTS_AT_ONCE, async (tag) => {
    const manifest = await trust.manifest(tag)
    if (manifest === null) return
    const documents: Blob[] = []
    for (const layer of trustDocuments(manifest.bytes).values())
      documents.push(await readDocument(trust, layer, MAX_BYTES.targets))
    parts.set(tag, { manifest, documents })
  })
  return [...parts].sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1)).map(([, part]) => part)
}

/** Throws METADATA_TOO_LARGE. */
export async function readDocument(
  trust: Repository,
  { digest, size }: Descriptor,
  maxBytes: number,
): Promise<Blob> {
  if (size > maxBytes)
    throw new AppError("METADATA_TOO_LARGE", `a document of ${size} bytes, at most ${maxBytes} are read`)
  return blobOf(MEDIA.trustLayer, await trust.readBlob({ digest, size }, maxBytes))
}

function rank(tag: string): number {
  return tag === "image" ? 0 : 1
}
