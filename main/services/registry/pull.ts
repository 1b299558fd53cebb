/** A package out of a repository into a .seal file: blobs go straight to their place in the file, hashed on the way. */
import { AppError } from "../../contract/errors.ts"
import type { Pulled, PullRequest } from "../../contract/schema/registry.ts"
import { attestationType } from "../../core/attest/statement.ts"
import { isGrantTag } from "../../core/oci/grant-tag.ts"
import {
  parseManifest,
  type Blob,
  type Descriptor,
  type Digest,
  type Manifest,
} from "../../core/oci/manifest.ts"
import { MEDIA } from "../../core/oci/media-types.ts"
import { packagesOf } from "../../core/oci/release-index.ts"
import { MAX_GRANT_BYTES } from "../../core/policy/grant.ts"
import type { JobContext } from "../jobs.ts"
import type { Ports } from "../ports.ts"
import type { Repository } from "../ports/registry.ts"
import { SealWriter } from "../seal-writer.ts"
import { inParallel } from "./in-parallel.ts"
import { readAllTrust, trustRepository } from "./trust-transfer.ts"

const MANIFESTS_AT_ONCE = 8
const LAYERS_AT_ONCE = 3
/** As many parts as a .seal file can list. */
const MAX_PARTS = 10_000
const MAX_BUNDLE_BYTES = 4 << 20
const PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"

/** A package or grant, with what is attached to it. */
export interface Part {
  readonly repository: Repository
  readonly blob: Blob
  readonly layer: Descriptor
  readonly bundles: readonly { readonly blob: Blob; readonly content: Blob }[]
}

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
    const packages = await readParts(repository, packagesOf(release), MEDIA.package)
    const grants = await findGrants(repository.below("grants"), request.grants)
    const trust = request.trust === "all" ? await readAllTrust(trustRepository(repository)) : []
    const writer = new SealWriter(output)
    const parts = [...packages, ...grants]
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
      grants: grants.length,
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
      done.set(layer.digest, bytes)
      let sum = 0
      for (const each of done.values()) sum += each
      control.progress(sum)
    }),
  )
}

async function findGrants(repository: Repository, wanted: PullRequest["grants"]): Promise<readonly Part[]> {
  const tags =
    wanted.kind === "tags" ? wanted.tags : (await repository.tags()).filter((tag) => isGrantTag(tag))
  checkCount(tags.length)
  const found = new Map<Digest, Descriptor>()
  await inParallel(tags, MANIFESTS_AT_ONCE, async (tag) => {
    const stored = await repository.manifest(tag)
    if (stored !== null) found.set(stored.descriptor.digest, stored.descriptor)
    else if (wanted.kind === "tags")
      throw new AppError("REGISTRY_NOT_FOUND", `${repository.name} has no grant ${tag}`)
  })
  return readParts(repository, [...found.values()], MEDIA.grant)
}

export async function readParts(
  repository: Repository,
  descriptors: readonly Descriptor[],
  artifactType: string,
): Promise<readonly Part[]> {
  checkCount(descriptors.length)
  const parts = new Map<Digest, Part>()
  await inParallel(descriptors, MANIFESTS_AT_ONCE, async ({ digest }) => {
    const { blob, manifest, layer } = await readManifest(repository, digest)
    if (manifest.artifactType !== artifactType || manifest.subject !== undefined)
      throw new AppError("SEAL_MALFORMED", `${digest.slice(0, 19)}… is not what it is listed as`)
    if (artifactType === MEDIA.grant && layer.size > MAX_GRANT_BYTES)
      throw new AppError("SEAL_MALFORMED", "a grant is larger than any overlay")
    parts.set(digest, { repository, blob, layer, bundles: await readBundles(repository, digest) })
  })
  // In the order they were listed, whichever came first.
  return descriptors.flatMap(({ digest }) => parts.get(digest) ?? [])
}

/**
 * Bundles only: other things may be attached to anything by anybody, and none of them is believed here. Receipts stay where
 * they are: they are for the desk.
 */
async function readBundles(repository: Repository, subject: Digest): Promise<Part["bundles"]> {
  const listed = (await repository.referrers(subject)).filter(
    ({ artifactType, annotations }) =>
      artifactType === MEDIA.bundle && annotations[PREDICATE_TYPE] !== attestationType("receipt"),
  )
  checkCount(listed.length)
  const bundles = []
  for (const { descriptor } of listed) {
    const { blob, manifest, layer } = await readManifest(repository, descriptor.digest)
    const isBundle = manifest.artifactType === MEDIA.bundle && layer.mediaType === MEDIA.bundle
    if (!isBundle || manifest.subject?.digest !== subject) continue
    const bytes = await repository.readBlob(layer, MAX_BUNDLE_BYTES)
    bundles.push({ blob, content: { descriptor: layer, bytes } })
  }
  return bundles
}

async function readManifest(
  repository: Repository,
  digest: Digest,
): Promise<{ readonly blob: Blob; readonly manifest: Manifest; readonly layer: Descriptor }> {
  const blob = await repository.manifest(digest)
  if (blob === null)
    throw new AppError("SEAL_INCOMPLETE", `${digest.slice(0, 19)}… is missing in ${repository.name}`)
  const manifest = parseManifest(blob.bytes)
  const [layer, ...more] = manifest.layers
  if (layer === undefined || more.length > 0)
    throw new AppError("SEAL_MALFORMED", "a manifest must have one layer")
  return { blob, manifest, layer }
}

function checkCount(count: number): void {
  if (count > MAX_PARTS) throw new AppError("REGISTRY_TOO_LARGE", `more than ${MAX_PARTS} parts`)
}
