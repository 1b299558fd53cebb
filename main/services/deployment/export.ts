/** Everything a ring or a device needs, as one .seal file: packages, grants, signatures, and both repositories (FORMAT 10.6). */
import { AppError } from "../../contract/errors.ts"
import type { Device } from "../../contract/schema/keys.ts"
import type { Exported, ExportRequest } from "../../contract/schema/release.ts"
import { createDeviceId } from "../../core/policy/device-id.ts"
import type { Blob } from "../../core/oci/manifest.ts"
import { targetFile } from "../../core/policy/deployment.ts"
import type { JobContext } from "../jobs.ts"
import type { PendingFile, Ports } from "../ports.ts"
import { deviceRepository, lastDirected, type Directed } from "../release/director.ts"
import { findRing } from "../release/rings.ts"
import { openRelease, type OpenRelease } from "../release/store.ts"
import { addTrustDocuments, attachBundle, copyPart } from "../seal-copy.ts"
import { SealWriter } from "../seal-writer.ts"
import { currentPlan, directorRepository, imageRepository } from "../trust/publish.ts"
import type { Repository } from "../trust/repository.ts"

export async function exportSeal(ports: Ports, request: ExportRequest, job: JobContext): Promise<Exported> {
  await currentPlan(ports)
  const { scope } = request
  const names = scope.kind === "device" ? [scope.device] : (await findRing(ports, scope.ring)).devices
  const words: { readonly device: Device; readonly word: Directed }[] = []
  for (const name of names) {
    const device = await ports.devices.find(name)
    const word = await lastDirected(ports, createDeviceId(device.recipient))
    if (word !== null) words.push({ device, word })
  }
  const output = await ports.files.create(request.output.file, {
    replace: request.output.replace,
    isSecret: false,
  })
  try {
    const writer = new SealWriter(output)
    const releases = new Map<string, Directed[]>()
    for (const { word } of words) {
      if (word.release === null) continue
      const list = releases.get(word.release) ?? []
      list.push(word)
      releases.set(word.release, list)
    }
    const trust = await imageDocuments(imageRepository(ports))
    const indexes = new Map<string, Blob>()
    const seen = new Set<string>()
    for (const [name, list] of releases) {
      const release = await openRelease(ports, name)
      try {
        await copyRelease(writer, output, release, list, seen, job)
        indexes.set(name, release.index)
      } finally {
        await release.file.close()
      }
    }
    for (const [index, root] of (await directorRepository(ports).roots()).entries())
      trust.set(`director/${index + 1}.root.json`, root)
    await addTrustDocuments(writer, trust)
    for (const { device, word } of words)
      await addTrustDocuments(
        writer,
        await deviceDocuments(ports, device, indexes.get(word.release ?? "") ?? null),
      )
    await writer.finish()
    job.signal.throwIfAborted()
    await output.commit()
    return {
      name: ports.files.nameOf(request.output.file),
      bytes: writer.bytes,
      devices: words.length,
      packages: new Set(words.flatMap(({ word }) => word.package ?? [])).size,
      expires: words.map(({ word }) => word.expires).sort()[0] ?? null,
    }
  } finally {
    await output.discard()
  }
}

/** The packages and grants the director named, each with its statements. */
async function copyRelease(
  writer: SealWriter,
  output: PendingFile,
  release: OpenRelease,
  words: readonly Directed[],
  seen: Set<string>,
  job: JobContext,
): Promise<void> {
  const wanted = new Set(words.flatMap((word) => [word.package ?? "", word.grant ?? ""]))
  const parts = [...release.contents.packages, ...release.contents.grants].filter(
    ({ digest }) => wanted.has(digest) && !seen.has(digest),
  )
  const subjects = new Map(parts.map((part) => [part.digest, part.manifestBlob.descriptor]))
  for (const part of parts) {
    await copyPart(writer, output, release.file, part, job.step("copy", part.layer.size))
    seen.add(part.digest)
  }
  for (const bundle of release.bundles) {
    const subject = subjects.get(bundle.subject)
    if (subject !== undefined) await attachBundle(writer, subject, bundle)
  }
}

/** Every root, and the newest of the rest. */
async function imageDocuments(repository: Repository): Promise<Map<string, Uint8Array>> {
  const documents = new Map<string, Uint8Array>()
  for (const [index, root] of (await repository.roots()).entries())
    documents.set(`image/${index + 1}.root.json`, root)
  await addNewest(documents, repository, "image", ["snapshot", "targets", "release-manager"])
  return documents
}

/** The newest word to a device, and the index of the release it names. */
async function deviceDocuments(
  ports: Ports,
  device: Device,
  index: Blob | null,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const deviceId = createDeviceId(device.recipient)
  const documents = new Map<string, Uint8Array>()
  await addNewest(documents, deviceRepository(ports, deviceId), `devices/${deviceId}`, [
    "snapshot",
    "targets",
  ])
  if (index !== null) {
    const sha256 = index.descriptor.digest.slice("sha256:".length)
    documents.set(targetFile({ hashes: { sha256 } }), index.bytes)
  }
  return documents
}

async function addNewest(
  documents: Map<string, Uint8Array>,
  repository: Repository,
  prefix: string,
  roles: readonly string[],
): Promise<void> {
  const timestamp = await repository.read("timestamp.json")
  if (timestamp === null) throw new AppError("METADATA_MISSING", `${prefix} has no timestamp`)
  documents.set(`${prefix}/timestamp.json`, timestamp)
  for (const role of roles) {
    const found = await repository.latest(role)
    if (found !== null) documents.set(`${prefix}/${found.version}.${role}.json`, found.bytes)
  }
}
