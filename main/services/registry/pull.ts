/** A package out of a repository into a .seal file: blobs go straight to their place in the file, hashed on the way. */
import { AppError } from "../../contract/errors.ts"
import type { Pulled, PullRequest } from "../../contract/schema/registry.ts"
import type { Digest } from "../../core/oci/manifest.ts"
import { MEDIA } from "../../core/oci/media-types.ts"
import { packagesOf } from "../../core/oci/release-index.ts"
import type { JobContext } from "../jobs.ts"
import type { Ports } from "../ports.ts"
import { SealWriter } from "../seal-writer.ts"
import { inParallel } from "./in-parallel.ts"
import { readParts, type Part } from "./parts.ts"
import { withWantedGrants } from "./pull-grants.ts"
import { readAllTrust, trustRepository } from "./trust-transfer.ts"

const LAYERS_AT_ONCE = 3

export async function pull(ports: Ports, request: PullRequest, job: JobContext): Promise<Pulled> {
  const startedAt = performance.now()
  const repository = ports.registries.open(request.from, job.signal)
  const release = await repository.manifest(request.reference)
  if (release === null)
    throw new AppError("REGISTRY_NOT_FOUND", `${repository.name} has no ${request.reference.slice(0, 80)}`)
  const output = await ports.files.create(request.output.file, {
    replace: request.output.replace,
    isSecret: false,
  })
  try {
    const digests = packagesOf(release).map(({ digest }) => digest)
    const packages = await readParts(repository, digests, MEDIA.package)
    const parts = await withWantedGrants(packages, repository.below("grants"), request.grants)
    const trust = request.trust === "all" ? await readAllTrust(trustRepository(repository)) : []
    const writer = new SealWriter(output)
    await fetchLayers(writer, parts, job)
    await writeManifests(writer, parts)
    for (const { manifest, documents } of trust) {
      for (const document of documents) await writer.blob(document)
      await writer.manifest(manifest)
    }
    await writer.finish()
    job.signal.throwIfAborted()
    await output.commit()
    return {
      name: ports.files.nameOf(request.output.file),
      repository: repository.name,
      digest: release.descriptor.digest,
      bytes: writer.bytes,
      packages: packages.length,
      grants: parts.length - packages.length,
      bundles: parts.reduce((sum, { bundles }) => sum + bundles.length, 0),
      seconds: (performance.now() - startedAt) / 1000,
    }
  } finally {
    await output.discard()
  }
}

/** Manifests and what is attached to them, after their layers. */
export async function writeManifests(writer: SealWriter, parts: readonly Part[]): Promise<void> {
  for (const { blob } of parts) await writer.manifest(blob)
  for (const { blob, content } of parts.flatMap(({ bundles }) => bundles)) {
    await writer.blob(content)
    await writer.manifest(blob)
  }
}

/** Every blob gets its place first; then they come in whatever order they may. */
export async function fetchLayers(
  writer: SealWriter,
  parts: readonly Part[],
  job: JobContext,
): Promise<void> {
  const total = parts.reduce((sum, { layer }) => sum + layer.size, 0)
  const control = job.step("pull", total)
  const done = new Map<Digest, number>()
  let doneBytes = 0
  const places: {
    readonly part: Part
    readonly target: { readonly file: number; readonly offset: number }
  }[] = []
  for (const part of parts) {
    const target = await writer.reserve(part.layer)
    if (target !== null) places.push({ part, target })
  }
  await inParallel(places, LAYERS_AT_ONCE, async ({ part: { repository, layer }, target }) =>
    repository.fetchBlob(layer, target, (bytes) => {
      doneBytes += bytes - (done.get(layer.digest) ?? 0)
      done.set(layer.digest, bytes)
      control.progress(doneBytes)
    }),
  )
}
