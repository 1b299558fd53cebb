/**
 * News from a repository (docs/FORMAT.md 10.6): two tags tell whether there are any. Nothing of what comes is believed before
 * the same checks a file gets, so a registry can withhold and delay, and no more.
 */
import { AppError } from "../../contract/errors.ts"
import type { Device } from "../../contract/schema/keys.ts"
import { readBundle } from "../../core/attest/bundle.ts"
import { readStatement } from "../../core/attest/statement.ts"
import { parseManifest, type Descriptor } from "../../core/oci/manifest.ts"
import { MEDIA } from "../../core/oci/media-types.ts"
import { readSealFile, type AttachedBundle, type SealContents } from "../../core/oci/seal-file.ts"
import { binTag, SHARED_TAG, trustDocuments } from "../../core/oci/trust-manifest.ts"
import { binOf, createDeviceId } from "../../core/policy/device-id.ts"
import type { JobContext } from "../jobs.ts"
import { openGrant, readSignatures, wipeGranted } from "../package-access.ts"
import type { Ports, PendingFile } from "../ports.ts"
import type { Repository } from "../ports/registry.ts"
import { readParts, type Part } from "../registry/parts.ts"
import { withGrants } from "../registry/pull-grants.ts"
import { fetchLayers, writeManifests } from "../registry/pull.ts"
import { readDocument, trustRepository } from "../registry/trust-transfer.ts"
import { SealWriter } from "../seal-writer.ts"
import type { News, Wanted } from "./news.ts"
import { repositoriesIn, type Repositories } from "./repositories.ts"

/** Throws METADATA_MISSING when the repository has no word to this device, and the REGISTRY_ codes. */
export async function newsInRegistry(
  ports: Ports,
  repository: Repository,
  device: Device,
  seen: News["seen"],
): Promise<News> {
  const trust = trustRepository(repository)
  const deviceId = createDeviceId(device.recipient)
  // In turn: two at once would both be asked to sign in.
  const shared = await trust.manifest(SHARED_TAG)
  const own = await trust.manifest(binTag(binOf(deviceId)))
  if (shared === null || own === null)
    throw new AppError("METADATA_MISSING", `${repository.name} has no word to ${device.name}`)
  const documents = new Map([...trustDocuments(shared.bytes), ...trustDocuments(own.bytes)])
  const now = { image: shared.descriptor.digest, device: own.descriptor.digest }
  return {
    sources: sourcesOf(trust, documents, deviceId),
    isUnchanged: seen !== null && seen.image === now.image && seen.device === now.device,
    seen: now,
    copy: async (output, wanted, job) => copy(ports, repository, output, wanted, job),
  }
}

function sourcesOf(
  trust: Repository,
  documents: ReadonlyMap<string, Descriptor>,
  deviceId: string,
): Repositories {
  const read = async (name: string, maxBytes: number): Promise<Uint8Array | null> => {
    const descriptor = documents.get(name)
    if (descriptor === undefined) return null
    return (await readDocument(trust, descriptor, maxBytes)).bytes
  }
  return repositoriesIn(read, deviceId)
}

async function copy(
  ports: Ports,
  repository: Repository,
  output: PendingFile,
  { deployment, device, trust }: Wanted,
  job: JobContext,
): Promise<number> {
  const packages = await readParts(repository, [deployment.ociManifest], MEDIA.package)
  const parts = await withGrants(packages, repository.below("grants"), [deployment.grant])
  // Signatures are small: nobody makes the device fetch a payload that no packager signed.
  readSignatures(toContents(parts), trust, ports.now())
  const writer = new SealWriter(output)
  await fetchLayers(writer, parts, job)
  await writeManifests(writer, parts)
  await writer.finish()
  const written = {
    size: writer.bytes,
    read: async (offset: number, length: number) => output.read(offset, length),
  }
  const contents = await readSealFile(written)
  wipeGranted(await openGrant(ports, written, contents, device))
  return packages[0]?.blob.bytes.length ?? 0
}

/** What signatures are judged by; where the layers lie is not known yet. */
function toContents(parts: readonly Part[]): SealContents {
  const entry = { name: "", offset: 0, size: 0 }
  const sealed = parts.map(({ blob, layer }) => ({
    digest: blob.descriptor.digest,
    manifest: parseManifest(blob.bytes),
    manifestBlob: blob,
    layer,
    entry,
  }))
  const ofType = (type: string) => sealed.filter(({ manifest }) => manifest.artifactType === type)
  const bundles = parts.flatMap((part) => part.bundles.map((each) => toBundle(part, each)))
  return { packages: ofType(MEDIA.package), grants: ofType(MEDIA.grant), bundles, trust: new Map() }
}

function toBundle({ blob }: Part, { content }: Part["bundles"][number]): AttachedBundle {
  const { predicateType } = readStatement(readBundle(content.bytes).envelope.payload)
  return { subject: blob.descriptor.digest, predicateType, createdAt: "", bytes: content.bytes }
}
