/** Everything a ring or a device needs, as one .seal file: packages, grants, signatures, and both repositories (FORMAT 10.6). */
import { AppError } from "../../contract/errors.ts"
import type { Exported, ExportRequest } from "../../contract/schema/release.ts"
import { publishedNames } from "../../core/log/published.ts"
import { binOf, createDeviceId } from "../../core/policy/device-id.ts"
import { targetFile } from "../../core/policy/deployment.ts"
import type { Run } from "../../core/policy/words.ts"
import type { JobContext } from "../jobs.ts"
import { publishedProof } from "../log/trust-log.ts"
import type { PendingFile, Ports } from "../ports.ts"
import { binRepository, lastWords, type Directed } from "../release/director.ts"
import { findRing } from "../release/rings.ts"
import { keptIndex, openRelease, type OpenRelease } from "../release/store.ts"
import { addTrustDocuments, attachBundles, copyParts, layerBytes } from "../seal-copy.ts"
import { SealWriter } from "../seal-writer.ts"
import { currentPlan, directorRepository, freshUntil, imageRepository } from "../trust/publish.ts"
import type { Repository } from "../trust/repository.ts"

export async function exportSeal(ports: Ports, request: ExportRequest, job: JobContext): Promise<Exported> {
  await currentPlan(ports)
  const said = await lastWords(ports)
  const words = await wordsFor(ports, request.scope, said)
  const output = await ports.files.create(request.output.file, {
    replace: request.output.replace,
    isSecret: false,
  })
  try {
    const writer = new SealWriter(output)
    const releases = Map.groupBy(
      words.flatMap(({ run }) => run ?? []),
      ({ release }) => release,
    )
    for (const [name, runs] of releases) {
      const release = await openRelease(ports, name)
      try {
        await copyRelease(writer, output, release, runs, job)
      } finally {
        await release.file.close()
      }
    }
    await addTrustDocuments(writer, await sharedDocuments(ports))
    for (const bin of new Set(words.map(({ deviceId }) => binOf(deviceId))))
      await addTrustDocuments(writer, await binDocuments(ports, bin, said.values()))
    await writer.finish()
    job.signal.throwIfAborted()
    await output.commit()
    return {
      name: ports.files.nameOf(request.output.file),
      bytes: writer.bytes,
      devices: words.length,
      packages: new Set(words.flatMap(({ run }) => run?.ociManifest ?? [])).size,
      expires: await heldUntil(ports, words),
    }
  } finally {
    await output.discard()
  }
}

/** Words to a device, or to a ring: who left it, or was taken out, still has to hear the last word that was said to it there. */
async function wordsFor(
  ports: Ports,
  scope: ExportRequest["scope"],
  said: ReadonlyMap<string, Directed>,
): Promise<readonly Directed[]> {
  if (scope.kind === "device") {
    const { recipient } = await ports.devices.find(scope.device)
    return [said.get(createDeviceId(recipient)) ?? []].flat()
  }
  const members = new Set((await findRing(ports, scope.ring)).devices)
  const words: Directed[] = []
  for (const { name, recipient } of await ports.devices.list()) {
    const word = said.get(createDeviceId(recipient))
    if (word !== undefined && (members.has(name) || word.ring === scope.ring)) words.push(word)
    members.delete(name)
  }
  const [absent] = members
  if (absent !== undefined) throw new AppError("DEVICE_NOT_FOUND", `${absent} is not in this workspace`)
  return words
}

/** The end of the words and of what they rest on, whichever comes first. */
async function heldUntil(ports: Ports, words: readonly Directed[]): Promise<string | null> {
  if (words.length === 0) return null
  const ends = words.map(({ expires }) => expires)
  return [...ends, (await freshUntil(ports)) ?? ""].filter((end) => end !== "").sort()[0] ?? null
}

/** The packages and grants the director named, each with its statements. */
async function copyRelease(
  writer: SealWriter,
  output: PendingFile,
  release: OpenRelease,
  runs: readonly Run[],
  job: JobContext,
): Promise<void> {
  const wanted = new Set(runs.flatMap(({ ociManifest, grant }) => [ociManifest, grant]))
  const parts = [...release.contents.packages, ...release.contents.grants].filter(({ digest }) =>
    wanted.has(digest),
  )
  const control = job.step(`copy ${release.record.name}`, layerBytes(parts))
  await copyParts(writer, output, release.file, parts, control)
  await attachBundles(writer, parts, release.bundles)
}

/** What all devices share: every root of both repositories, and the newest of the rest of the image repository. */
async function sharedDocuments(ports: Ports): Promise<ReadonlyMap<string, Uint8Array>> {
  const documents = new Map<string, Uint8Array>()
  const image = imageRepository(ports)
  for (const [index, root] of (await image.roots()).entries())
    documents.set(`image/${index + 1}.root.json`, root)
  await addNewest(documents, image, "image", ["snapshot", "targets", "release-manager"])
  for (const [index, root] of (await directorRepository(ports).roots()).entries())
    documents.set(`director/${index + 1}.root.json`, root)
  return documents
}

/** The newest words to the devices of a bin, and of the releases they name, whatever the ring, the indexes and proofs from the log. */
async function binDocuments(
  ports: Ports,
  bin: string,
  words: Iterable<Directed>,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const documents = new Map<string, Uint8Array>()
  await addNewest(documents, binRepository(ports, bin), `devices/${bin}`, ["snapshot", "targets"])
  for (const { deviceId, run } of words) {
    if (run === null || binOf(deviceId) !== bin) continue
    const name = targetFile({ hashes: { sha256: run.sha256 } })
    if (documents.has(name)) continue
    documents.set(name, await keptIndex(ports, run.sha256))
    const published = await publishedProof(ports, run.sha256)
    if (published === null) continue
    const names = publishedNames(run.sha256)
    documents.set(names.entry, published.entry)
    documents.set(names.proof, published.proof)
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
