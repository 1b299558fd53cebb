/**
 * The parts of a .seal file on their way into a repository (docs/FORMAT.md 3.5): each where it belongs, and only what is not
 * there yet. What costs a request a device is as little as possible: a grant is two requests for its bytes and one for its
 * manifest, which brings its tag along.
 */
import { attestationType } from "../../core/attest/statement.ts"
import { readAhead, type ByteSource } from "../../core/bytes/source.ts"
import type { Descriptor, Digest } from "../../core/oci/manifest.ts"
import { EMPTY_CONFIG, EMPTY_CONFIG_BYTES, MEDIA } from "../../core/oci/media-types.ts"
import type { SealManifest } from "../../core/oci/seal-manifests.ts"
import { SHARED_TAG, trustDocuments, trustTag } from "../../core/oci/trust-manifest.ts"
import type { JobContext } from "../jobs.ts"
import type { OpenFile } from "../ports.ts"
import type { BlobContent, Repository } from "../ports/registry.ts"
import type { TaggedGrant } from "./grant-tags.ts"
import { inParallel } from "./in-parallel.ts"
import { isNewTrust, trustRepository } from "./trust-transfer.ts"

/** Enough to keep a connection busy while others wait for an answer. */
const MANIFESTS_AT_ONCE = 8
/** A large blob fills a line by itself; a second one covers the pauses of the first. */
const LARGE_AT_ONCE = 2
const LARGE_BYTES = 1 << 20
const SMALL_BYTES = 1 << 14

export class Transfer {
  readonly #repository: Repository
  readonly #grants: Repository
  readonly #trust: Repository
  readonly #file: OpenFile
  readonly #neighbours: ByteSource
  readonly #report: (done: number) => void
  /** Bytes of each blob that are done, and of all. */
  readonly #done = new Map<Digest, number>()
  #doneBytes = 0
  readonly bytes: number
  sentBytes = 0

  /** `parts`: everything that will be stored. */
  constructor(repository: Repository, file: OpenFile, parts: readonly SealManifest[], job: JobContext) {
    this.#repository = repository
    this.#grants = repository.below("grants")
    this.#trust = trustRepository(repository)
    this.#file = file
    this.#neighbours = readAhead(file)
    this.bytes = parts.reduce(
      (sum, { blob, layers }) =>
        sum + blob.bytes.length + layers.reduce((all, { descriptor }) => all + descriptor.size, 0),
      0,
    )
    const control = job.step(`push ${file.name}`, this.bytes)
    this.#report = (done) => control.progress(done)
  }

  /** Packages, without a tag. */
  async storePackages(parts: readonly SealManifest[]): Promise<void> {
    const isLarge = ({ layers }: SealManifest) =>
      layers.some(({ descriptor }) => descriptor.size >= LARGE_BYTES)
    const store = async (part: SealManifest) => {
      if (await this.#skipStored(this.#repository, part)) return
      await this.#storeLayers(this.#repository, part)
      await this.#repository.putManifest(part.blob, null)
      this.#noteSent(part)
    }
    const [large, small] = [parts.filter(isLarge), parts.filter((part) => !isLarge(part))]
    await inParallel(large, LARGE_AT_ONCE, store)
    await inParallel(small, MANIFESTS_AT_ONCE, store)
  }

  /**
   * Bundles, those of one subject together, since they are in one list. What is about grants is as private as the grants and
   * lies with them, also when it is attached to the package.
   */
  async attach(bundles: readonly SealManifest[], grants: readonly SealManifest[]): Promise<void> {
    const granted = new Set(grants.map(({ blob }) => blob.descriptor.digest))
    const isPrivate = ({ manifest: { subject, annotations } }: SealManifest) =>
      granted.has(subject?.digest ?? "") ||
      annotations?.["dev.sigstore.bundle.predicateType"] === attestationType("grant")
    for (const [repository, some] of [
      [this.#repository, bundles.filter((part) => !isPrivate(part))],
      [this.#grants, bundles.filter(isPrivate)],
    ] as const) {
      const subjects = Map.groupBy(some, ({ manifest }) => manifest.subject?.digest ?? "")
      await inParallel([...subjects.values()], MANIFESTS_AT_ONCE, async (together) =>
        this.#attachTo(repository, together),
      )
    }
  }

  async #attachTo(repository: Repository, bundles: readonly SealManifest[]): Promise<void> {
    for (const bundle of bundles) {
      if (await this.#skipStored(repository, bundle)) continue
      await this.#storeLayers(repository, bundle)
      this.#noteSent(bundle)
    }
    // Again even if they are there: a list of referrers may lack them.
    await repository.putManifests(bundles.map(({ blob }) => ({ manifest: blob, tag: null })))
  }

  /** Grants under their tags; the list of tags tells which of them need not be asked for. */
  async storeGrants(grants: readonly TaggedGrant[]): Promise<void> {
    if (grants.length === 0) return
    const known = new Set(await this.#grants.tags())
    const missing: TaggedGrant[] = []
    await inParallel(grants, MANIFESTS_AT_ONCE, async (grant) => {
      const { part, tag } = grant
      const there = known.has(tag) ? await this.#grants.manifestDigest(tag) : null
      if (there === part.blob.descriptor.digest) return this.#notePart(part)
      await this.#storeLayers(this.#grants, part)
      missing.push(grant)
    })
    await this.#grants.putManifests(missing.map(({ part, tag }) => ({ manifest: part.blob, tag })))
    for (const { part } of missing) this.#noteSent(part)
  }

  /** The shared part first: whoever finds the word to a device finds what it rests on. */
  async tagTrust(parts: readonly SealManifest[]): Promise<void> {
    const tagOf = ({ blob }: SealManifest) => trustTag(trustDocuments(blob.bytes))
    const [shared, words] = [
      parts.filter((part) => tagOf(part) === SHARED_TAG),
      parts.filter((part) => tagOf(part) !== SHARED_TAG),
    ]
    for (const some of [shared, words])
      await inParallel(some, MANIFESTS_AT_ONCE, async (part) => this.#tagTrust(part, tagOf(part)))
  }

  async #tagTrust(part: SealManifest, tag: string): Promise<void> {
    if (!(await isNewTrust(this.#trust, part.blob))) return this.#notePart(part)
    await this.#storeLayers(this.#trust, part)
    await this.#trust.putManifest(part.blob, tag)
    this.#noteSent(part)
  }

  /** Whether the manifest is there, and so all it stands for. */
  async #skipStored(repository: Repository, part: SealManifest): Promise<boolean> {
    if ((await repository.manifestDigest(part.blob.descriptor.digest)) === null) return false
    this.#notePart(part)
    return true
  }

  async #storeLayers(repository: Repository, { layers }: SealManifest): Promise<void> {
    await repository.putBlob(EMPTY_CONFIG, { kind: "bytes", bytes: EMPTY_CONFIG_BYTES })
    for (const { descriptor, offset } of layers) {
      const content = await this.#contentOf(descriptor, offset)
      const note = (done: number) => this.#note(descriptor, done)
      const outcome = await repository.putBlob(descriptor, content, note)
      if (outcome === "stored") this.sentBytes += descriptor.size
      this.#note(descriptor, descriptor.size)
    }
  }

  /** Small blobs lie side by side in the file and are read together. */
  async #contentOf({ size }: Descriptor, offset: number): Promise<BlobContent> {
    if (size > SMALL_BYTES) return { kind: "file", file: this.#file.number, offset }
    return { kind: "bytes", bytes: Uint8Array.from(await this.#neighbours.read(offset, size)) }
  }

  #noteSent(part: SealManifest): void {
    this.sentBytes += part.blob.bytes.length
    this.#notePart(part)
  }

  #notePart({ blob, layers }: SealManifest): void {
    for (const { descriptor } of [blob, ...layers]) this.#note(descriptor, descriptor.size)
  }

  #note({ digest }: Descriptor, done: number): void {
    this.#doneBytes += done - (this.#done.get(digest) ?? 0)
    this.#done.set(digest, done)
    this.#report(this.#doneBytes)
  }
}

/** Parts of a .seal file by what becomes of them. */
export interface Parts {
  readonly packages: readonly SealManifest[]
  readonly grants: readonly SealManifest[]
  /** Trust metadata (FORMAT 10.6): it lies beside the packages, under tags of its own. */
  readonly trust: readonly SealManifest[]
  readonly bundles: readonly SealManifest[]
}

export function sortParts(manifests: readonly SealManifest[]): Parts {
  const ofType = (type: string) => manifests.filter(({ manifest }) => manifest.artifactType === type)
  return {
    packages: ofType(MEDIA.package),
    grants: ofType(MEDIA.grant),
    trust: ofType(MEDIA.trust),
    bundles: ofType(MEDIA.bundle),
  }
}
