/** A .seal file into a repository (docs/FORMAT.md 3.5): straight from the file, and only what is not there yet. */
import { AppError } from "../../contract/errors.ts"
import type { Pushed, PushRequest } from "../../contract/schema/registry.ts"
import { wipe } from "../../core/bytes/bytes.ts"
import { deviceThumbprint, grantTag, releaseSecret } from "../../core/oci/grant-tag.ts"
import type { Blob, Descriptor, Digest } from "../../core/oci/manifest.ts"
import { EMPTY_CONFIG, EMPTY_CONFIG_BYTES, MEDIA } from "../../core/oci/media-types.ts"
import { releaseIndex } from "../../core/oci/release-index.ts"
import { readSealManifests, type SealManifest } from "../../core/oci/seal-manifests.ts"
import { SHARED_TAG, trustDocuments, trustTag } from "../../core/oci/trust-manifest.ts"
import { issuedFor } from "../issued-grants.ts"
import type { JobContext } from "../jobs.ts"
import type { OpenFile, Ports } from "../ports.ts"
import type { Repository } from "../ports/registry.ts"
import { inParallel } from "./in-parallel.ts"
import { isNewTrust, trustRepository } from "./trust-transfer.ts"

/** Enough to keep a connection busy while others wait for an answer. */
const MANIFESTS_AT_ONCE = 8
/** A large blob fills a line by itself; a second one covers the pauses of the first. */
const LARGE_AT_ONCE = 2
const LARGE_BYTES = 1 << 20

export async function push(ports: Ports, request: PushRequest, job: JobContext): Promise<Pushed> {
  const startedAt = performance.now()
  const repository = ports.registries.open(request.to, job.signal)
  const file = await ports.files.open(request.file)
  try {
    const parts = sortParts(await readSealManifests(file, { mayLackPackages: true }))
    const top = topOf(parts)
    const transfer = new Transfer(
      repository,
      file,
      [...parts.packages, ...parts.grants, ...parts.others, ...parts.trust],
      job,
    )
    await transfer.run()
    const grants = await tagGrants(ports, repository, parts, top.descriptor.digest)
    // Whoever finds a tag finds all it stands for: the release's comes when all of it is there, the words to devices last.
    await file.checkUnchanged()
    if (parts.packages.length > 0 && (await repository.manifestDigest(request.tag)) !== top.descriptor.digest)
      await repository.putManifest(top, request.tag)
    await transfer.tagTrust()
    return {
      name: file.name,
      repository: repository.name,
      tag: request.tag,
      digest: top.descriptor.digest,
      bytes: transfer.bytes,
      sentBytes: transfer.sentBytes,
      grants,
      seconds: (performance.now() - startedAt) / 1000,
    }
  } finally {
    await file.close()
  }
}

interface Parts {
  readonly packages: readonly SealManifest[]
  readonly grants: readonly SealManifest[]
  /** Trust metadata (FORMAT 10.6): it lies beside the packages, under tags of its own. */
  readonly trust: readonly SealManifest[]
  /** Bundles and whatever else the file holds. */
  readonly others: readonly SealManifest[]
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

function sortParts(manifests: readonly SealManifest[]): Parts {
  const ofType = (type: string) => manifests.filter(({ manifest }) => manifest.artifactType === type)
  const [packages, grants, trust] = [ofType(MEDIA.package), ofType(MEDIA.grant), ofType(MEDIA.trust)]
  const known = new Set([...packages, ...grants, ...trust])
  return { packages, grants, trust, others: manifests.filter((each) => !known.has(each)) }
}

function isTrust({ manifest }: SealManifest): boolean {
  return manifest.artifactType === MEDIA.trust
}

/** Everything but tags. A part goes where its subject is: what is about a grant is as private as the grant. */
class Transfer {
  readonly #repository: Repository
  readonly #grants: Repository
  readonly #trust: Repository
  readonly #file: OpenFile
  readonly #parts: readonly SealManifest[]
  readonly #grantDigests: ReadonlySet<Digest>
  readonly #report: (done: number) => void
  /** Bytes of each blob that are done. */
  readonly #done = new Map<Digest, number>()
  readonly bytes: number
  sentBytes = 0

  constructor(repository: Repository, file: OpenFile, parts: readonly SealManifest[], job: JobContext) {
    this.#repository = repository
    this.#grants = repository.below("grants")
    this.#trust = trustRepository(repository)
    this.#file = file
    this.#parts = parts
    this.#grantDigests = new Set(
      parts
        .filter(({ manifest }) => manifest.artifactType === MEDIA.grant)
        .map(({ blob }) => blob.descriptor.digest),
    )
    this.bytes = parts.reduce(
      (sum, { blob, layers }) =>
        sum + blob.bytes.length + layers.reduce((all, { descriptor }) => all + descriptor.size, 0),
      0,
    )
    const control = job.step(`push ${file.name}`, this.bytes)
    this.#report = (done) => control.progress(done)
  }

  async run(): Promise<void> {
    const isLarge = ({ layers }: SealManifest) =>
      layers.some(({ descriptor }) => descriptor.size >= LARGE_BYTES)
    const isAttached = ({ manifest }: SealManifest) => manifest.subject !== undefined
    const plain = this.#parts.filter((part) => !isAttached(part) && !isTrust(part))
    await inParallel(plain.filter(isLarge), LARGE_AT_ONCE, async (part) => this.#store(part))
    await inParallel(
      plain.filter((part) => !isLarge(part)),
      MANIFESTS_AT_ONCE,
      async (part) => this.#store(part),
    )
    // What is attached comes after what it is attached to; those of one subject in turn, since they change one list.
    const subjects = Map.groupBy(
      this.#parts.filter(isAttached),
      ({ manifest }) => manifest.subject?.digest ?? "",
    )
    await inParallel([...subjects.values()], MANIFESTS_AT_ONCE, async (bundles) => {
      for (const bundle of bundles) await this.#store(bundle)
    })
  }

  /** The shared part first: whoever finds the word to a device finds what it rests on. */
  async tagTrust(): Promise<void> {
    const parts = this.#parts.filter(isTrust)
    const tagOf = ({ blob }: SealManifest) => trustTag(trustDocuments(blob.bytes))
    const [shared, words] = [
      parts.filter((part) => tagOf(part) === SHARED_TAG),
      parts.filter((part) => tagOf(part) !== SHARED_TAG),
    ]
    for (const some of [shared, words])
      await inParallel(some, MANIFESTS_AT_ONCE, async (part) => this.#tagTrust(part, tagOf(part)))
  }

  async #tagTrust({ blob, layers }: SealManifest, tag: string): Promise<void> {
    if (await isNewTrust(this.#trust, blob)) {
      await this.#trust.putBlob(EMPTY_CONFIG, { kind: "bytes", bytes: EMPTY_CONFIG_BYTES })
      for (const { descriptor, offset } of layers) await this.#storeLayer(this.#trust, descriptor, offset)
      await this.#trust.putManifest(blob, tag)
      this.sentBytes += blob.bytes.length
    } else for (const { descriptor } of layers) this.#note(descriptor, descriptor.size)
    this.#note(blob.descriptor, blob.descriptor.size)
  }

  async #store(part: SealManifest): Promise<void> {
    const { descriptor } = part.blob
    const isPrivate = this.#grantDigests.has(part.manifest.subject?.digest ?? descriptor.digest)
    const repository = isPrivate ? this.#grants : this.#repository
    const isThere = (await repository.manifestDigest(descriptor.digest)) !== null
    if (!isThere) {
      await repository.putBlob(EMPTY_CONFIG, { kind: "bytes", bytes: EMPTY_CONFIG_BYTES })
      for (const { descriptor: layer, offset } of part.layers)
        await this.#storeLayer(repository, layer, offset)
    } else for (const { descriptor: layer } of part.layers) this.#note(layer, layer.size)
    // Again even if it is there: a list of referrers may lack it.
    if (!isThere || part.manifest.subject !== undefined) await repository.putManifest(part.blob, null)
    if (!isThere) this.sentBytes += part.blob.bytes.length
    this.#note(descriptor, descriptor.size)
  }

  async #storeLayer(repository: Repository, layer: Descriptor, offset: number): Promise<void> {
    const content = { kind: "file", file: this.#file.number, offset } as const
    const outcome = await repository.putBlob(layer, content, (done) => this.#note(layer, done))
    if (outcome === "stored") this.sentBytes += layer.size
    this.#note(layer, layer.size)
  }

  #note({ digest }: Descriptor, done: number): void {
    this.#done.set(digest, done)
    let total = 0
    for (const each of this.#done.values()) total += each
    this.#report(total)
  }
}

/** Gives every grant its tag, which only this workspace can compute. */
async function tagGrants(
  ports: Ports,
  repository: Repository,
  { grants, packages }: Parts,
  release: Digest,
): Promise<Pushed["grants"]> {
  const workspaceSecret = await ports.pushes.secret()
  const secret = releaseSecret(workspaceSecret, release)
  try {
    const devices = await thumbprints(ports, packages)
    const tagged = grants.map(({ blob }) => {
      const { digest } = blob.descriptor
      const stands = devices.get(digest) ?? Buffer.from(digest.slice("sha256:".length), "hex")
      return { blob, tag: grantTag(secret, stands) }
    })
    await inParallel(tagged, MANIFESTS_AT_ONCE, async ({ blob, tag }) => {
      const below = repository.below("grants")
      if ((await below.manifestDigest(tag)) !== blob.descriptor.digest) await below.putManifest(blob, tag)
    })
    return tagged.map(({ blob, tag }) => ({ digest: blob.descriptor.digest, tag }))
  } finally {
    wipe(workspaceSecret, secret)
  }
}

/** By grant digest: the devices of the grants this workspace issued. Of a file from elsewhere it knows none. */
async function thumbprints(
  ports: Ports,
  packages: readonly SealManifest[],
): Promise<ReadonlyMap<Digest, Uint8Array>> {
  const recipients = new Map((await ports.devices.list()).map(({ name, recipient }) => [name, recipient]))
  const found = new Map<Digest, Uint8Array>()
  for (const { blob } of packages) {
    for (const { grant, device } of await issuedFor(ports, blob.descriptor.digest)) {
      const recipient = recipients.get(device)
      if (recipient !== undefined) found.set(grant, deviceThumbprint(recipient))
    }
  }
  return found
}
