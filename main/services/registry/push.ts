/** A .seal file into a repository (docs/FORMAT.md 3.5): straight from the file, and only what is not there yet. */
import { AppError } from "../../contract/errors.ts"
import type { Pushed, PushRequest } from "../../contract/schema/registry.ts"
import type { Blob } from "../../core/oci/manifest.ts"
import { releaseIndex } from "../../core/oci/release-index.ts"
import { readSealManifests } from "../../core/oci/seal-manifests.ts"
import type { JobContext } from "../jobs.ts"
import type { Ports } from "../ports.ts"
import { tagGrants } from "./grant-tags.ts"
import { sortParts, Transfer, type Parts } from "./transfer.ts"

export async function push(ports: Ports, request: PushRequest, job: JobContext): Promise<Pushed> {
  const startedAt = performance.now()
  const repository = ports.registries.open(request.to, job.signal)
  const file = await ports.files.open(request.file)
  try {
    const manifests = await readSealManifests(file, { mayLackPackages: true })
    const parts = sortParts(manifests)
    const top = topOf(parts)
    const grants = await tagGrants(ports, parts, top.descriptor.digest)
    const transfer = new Transfer(repository, file, manifests, job)
    await transfer.storePackages(parts.packages)
    // Whoever finds a tag finds all it stands for: the release's comes when all of it is there, the words to devices last.
    await transfer.attach(parts.bundles, parts.grants)
    await transfer.storeGrants(grants)
    await file.checkUnchanged()
    if (parts.packages.length > 0 && (await repository.manifestDigest(request.tag)) !== top.descriptor.digest)
      await repository.putManifest(top, request.tag)
    await transfer.tagTrust(parts.trust)
    return {
      name: file.name,
      repository: repository.name,
      tag: request.tag,
      digest: top.descriptor.digest,
      bytes: transfer.bytes,
      sentBytes: transfer.sentBytes,
      grants: grants.map(({ part, tag }) => ({ digest: part.blob.descriptor.digest, tag })),
      seconds: (performance.now() - startedAt) / 1000,
    }
  } finally {
    await file.close()
  }
}

/** What the tag points to; of a file without packages, the trust metadata all devices share. */
function topOf({ packages, trust }: Parts): Blob {
  const [only, ...more] = packages
  if (only !== undefined && more.length === 0) return only.blob
  if (only !== undefined) return releaseIndex(packages.map(({ blob }) => blob.descriptor))
  const [shared] = trust
  if (shared === undefined)
    throw new AppError("SEAL_INCOMPLETE", "the file holds no package and no trust metadata")
  return shared.blob
}
