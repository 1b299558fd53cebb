/** Releases of this workspace: a .seal file with everything, and statements that came later. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import { readBundle } from "../../core/attest/bundle.ts"
import { readStatement } from "../../core/attest/statement.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { sha256Digest, type Blob, type Digest } from "../../core/oci/manifest.ts"
import { readSealFile, type AttachedBundle, type SealContents } from "../../core/oci/seal-file.ts"
import { readJson, releaseIndex } from "../../core/policy/release.ts"
import type { OpenFile, Ports } from "../ports.ts"

const recordSchema = z.strictObject({
  version: z.literal(1),
  name: z.string(),
  createdAt: z.string(),
  hardwareIds: z.array(z.string()).min(1),
  /** The .seal file is that of this release: a rollback is an older release under a new name. */
  content: z.string(),
})
export type ReleaseRecord = z.infer<typeof recordSchema>

/** A release that is open: close its file. */
export interface OpenRelease {
  readonly record: ReleaseRecord
  readonly file: OpenFile
  readonly contents: SealContents
  readonly index: Blob
  /** Bundles in the file and those that came later. */
  readonly bundles: readonly AttachedBundle[]
}

export async function keepRelease(ports: Ports, record: ReleaseRecord): Promise<void> {
  await ports.documents.write(`releases/${record.name}.json`, toUtf8(JSON.stringify(record)))
}

export async function findRelease(ports: Ports, name: string): Promise<ReleaseRecord | null> {
  const bytes = await ports.documents.read(`releases/${name}.json`)
  return bytes === null ? null : readJson(recordSchema, bytes, `the record of ${name}`)
}

export async function listReleases(ports: Ports): Promise<readonly ReleaseRecord[]> {
  const names = (await ports.documents.list("releases")).filter((name) => name.endsWith(".json"))
  const found = await Promise.all(
    names.map(async (name) => findRelease(ports, name.slice(0, -".json".length))),
  )
  return found.filter((record) => record !== null)
}

export async function sealOf(ports: Ports, content: string): Promise<FileRef> {
  return ports.files.inFolder(ports.folders.releases, `${content}.seal`)
}

/** Throws RELEASE_NOT_FOUND. */
export async function openRelease(ports: Ports, name: string): Promise<OpenRelease> {
  const record = await findRelease(ports, name)
  if (record === null) throw new AppError("RELEASE_NOT_FOUND", `there is no release ${name}`)
  const file = await ports.files.open(await sealOf(ports, record.content))
  try {
    const contents = await readSealFile(file)
    const index = releaseIndex(contents.packages.map((part) => part.manifestBlob.descriptor))
    const later = await laterBundles(ports, record.content)
    return { record, file, contents, index, bundles: [...contents.bundles, ...later] }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Keeps the index of a release where exports find it without opening the release: words to other rings name it too. */
export async function keepIndex(ports: Ports, { descriptor, bytes }: Blob): Promise<void> {
  await ports.documents.write(indexName(descriptor.digest.slice("sha256:".length)), bytes)
}

/** Throws METADATA_MISSING. */
export async function keptIndex(ports: Ports, sha256: string): Promise<Uint8Array> {
  const bytes = await ports.documents.read(indexName(sha256))
  if (bytes === null)
    throw new AppError("METADATA_MISSING", `the index ${sha256.slice(0, 12)}… of a release is missing`)
  return bytes
}

function indexName(sha256: string): string {
  return `tuf/targets/${sha256}`
}

/** Keeps a bundle about a release or one of its packages; the same one twice is kept once. Throws SIGNATURE_MISMATCH for another subject. */
export async function attach(ports: Ports, release: OpenRelease, bytes: Uint8Array): Promise<void> {
  const subjects = new Set([
    release.index.descriptor.digest,
    ...release.contents.packages.map(({ digest }) => digest),
  ])
  if (!subjectsOf(bytes).some((digest) => subjects.has(digest)))
    throw new AppError("SIGNATURE_MISMATCH", `the statement is not about release ${release.record.name}`)
  const name = sha256Digest(bytes).slice("sha256:".length)
  await ports.documents.write(`statements/${release.record.content}/${name}.json`, bytes)
}

async function laterBundles(ports: Ports, content: string): Promise<readonly AttachedBundle[]> {
  const folder = `statements/${content}`
  const bundles: AttachedBundle[] = []
  for (const name of await ports.documents.list(folder)) {
    const bytes = await ports.documents.read(`${folder}/${name}`)
    if (bytes === null) continue
    const [subject = ""] = subjectsOf(bytes)
    const { predicateType, predicate } = readStatement(readBundle(bytes).envelope.payload)
    const createdAt = predicate["createdAt"]
    bundles.push({ subject, predicateType, createdAt: typeof createdAt === "string" ? createdAt : "", bytes })
  }
  return bundles
}

/** What an unverified statement says it is about. */
function subjectsOf(bundle: Uint8Array): readonly Digest[] {
  const { subjects } = readStatement(readBundle(bundle).envelope.payload)
  return subjects.flatMap(({ digest }) =>
    digest["sha256"] === undefined ? [] : `sha256:${digest["sha256"]}`,
  )
}
