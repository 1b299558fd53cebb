/** A repository of an OCI registry (distribution-spec 1.1). What it sends is checked against what was asked for. */
import { AppError } from "../../contract/errors.ts"
import { MAX_MANIFEST_BYTES, sha256Digest, type Blob, type Digest } from "../../core/oci/manifest.ts"
import { MEDIA } from "../../core/oci/media-types.ts"
import { checkDigest, checkTag, isDigest } from "../../core/oci/reference.ts"
import { readManifestHead } from "../../core/oci/referrer-index.ts"
import type {
  BlobContent,
  BlobName,
  BlobTarget,
  OnBytes,
  Referrer,
  Repository,
  StoredManifest,
  TaggedManifest,
} from "../../services/ports/registry.ts"
import { inParallel } from "../../services/registry/in-parallel.ts"
import { downloadBlob } from "./download.ts"
import { attachReferrers, listReferrers, removeReferrer, type Attached } from "./remote-referrers.ts"
import type { RegistrySession } from "./session.ts"
import { listTags } from "./tag-list.ts"
import { uploadBlob } from "./upload.ts"

/** Below this, asking whether a blob is there costs as much as sending it. */
const ASK_FIRST_BYTES = 1 << 14
/** As many as there are connections. */
const MANIFESTS_AT_ONCE = 8
const ACCEPT = [
  MEDIA.manifest,
  MEDIA.index,
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
].join(", ")

export class RemoteRepository implements Repository {
  readonly name: string
  readonly session: RegistrySession
  readonly signal: AbortSignal
  /** Path on the registry. */
  readonly path: string
  /** Blobs that were stored or seen here, by digest: not asked for twice. */
  readonly #known = new Set<Digest>()
  /** Whether the registry was found to keep no lists of referrers itself. */
  lacksReferrersApi = false
  /** Uploads under way: a registry may refuse one of two uploads of the same blob at the same time. */
  readonly #uploads = new Map<Digest, Promise<void>>()

  constructor(session: RegistrySession, path: string, signal: AbortSignal) {
    this.session = session
    this.path = path
    this.signal = signal
    this.name = `${session.origin.host}/${path}`
  }

  below(name: string): RemoteRepository {
    return new RemoteRepository(this.session, `${this.path}/${name}`, this.signal)
  }

  async blobSize(digest: Digest): Promise<number | null> {
    checkDigest(digest)
    const answer = await this.session.request(
      { method: "HEAD", to: this.at(`blobs/${digest}`), scope: this.scope("pull"), expect: [200, 404] },
      this.signal,
    )
    answer.drop()
    if (answer.status === 404) return null
    const length = answer.length()
    if (length === null)
      throw new AppError("REGISTRY_MISBEHAVED", "the registry does not say how long a blob is")
    return length
  }

  async putBlob(blob: BlobName, content: BlobContent, onBytes?: OnBytes): Promise<"stored" | "present"> {
    if (this.#known.has(blob.digest)) return "present"
    if (blob.size >= ASK_FIRST_BYTES && (await this.blobSize(blob.digest)) === blob.size) {
      this.#known.add(blob.digest)
      return "present"
    }
    const running = this.#uploads.get(blob.digest)
    if (running !== undefined) {
      await running
      return "present"
    }
    const place = {
      session: this.session,
      path: this.at("blobs/uploads/"),
      scope: this.scope("pull,push"),
      signal: this.signal,
    }
    const upload = uploadBlob(place, blob, content, onBytes)
    this.#uploads.set(blob.digest, upload)
    try {
      await upload
    } finally {
      this.#uploads.delete(blob.digest)
    }
    this.#known.add(blob.digest)
    return "stored"
  }

  async mountBlob(blob: BlobName, from: Repository): Promise<boolean> {
    if (!(from instanceof RemoteRepository) || from.session !== this.session) return false
    const query = new URLSearchParams({ mount: blob.digest, from: from.path })
    const scope = `${this.scope("pull,push")} ${from.scope("pull")}`
    const answer = await this.session.request(
      { method: "POST", to: `${this.at("blobs/uploads/")}?${query.toString()}`, scope, expect: [201, 202] },
      this.signal,
    )
    answer.drop()
    if (answer.status === 201) {
      this.#known.add(blob.digest)
      return true
    }
    await this.#cancelUpload(answer.header("location"))
    return false
  }

  async readBlob(blob: BlobName, limit: number): Promise<Uint8Array> {
    checkDigest(blob.digest)
    if (blob.size > limit)
      throw new AppError("REGISTRY_TOO_LARGE", `a blob of ${blob.size} bytes, at most ${limit} are read`)
    const { bytes } = await this.session.document(
      { method: "GET", to: this.at(`blobs/${blob.digest}`), scope: this.scope("pull"), expect: [200] },
      blob.size,
      this.signal,
    )
    checkIs(bytes, blob.digest)
    return bytes
  }

  async fetchBlob(blob: BlobName, target: BlobTarget, onBytes?: OnBytes): Promise<void> {
    checkDigest(blob.digest)
    const { session, signal } = this
    const place = { session, path: this.at(`blobs/${blob.digest}`), scope: this.scope("pull"), signal }
    await downloadBlob(place, blob, target, onBytes)
  }

  async manifest(reference: string): Promise<StoredManifest | null> {
    checkReference(reference)
    const { answer, bytes } = await this.session.document(
      {
        method: "GET",
        to: this.at(`manifests/${reference}`),
        scope: this.scope("pull"),
        expect: [200, 404],
        headers: { accept: ACCEPT },
      },
      MAX_MANIFEST_BYTES,
      this.signal,
    )
    if (answer.status === 404) return null
    const digest = sha256Digest(bytes)
    const promised = isDigest(reference) ? reference : answer.header("docker-content-digest")
    if (promised !== null && isDigest(promised)) checkIs(bytes, promised)
    return { descriptor: { mediaType: readManifestHead(bytes).mediaType, digest, size: bytes.length }, bytes }
  }

  async manifestDigest(reference: string): Promise<Digest | null> {
    checkReference(reference)
    const answer = await this.session.request(
      {
        method: "HEAD",
        to: this.at(`manifests/${reference}`),
        scope: this.scope("pull"),
        expect: [200, 404],
        headers: { accept: ACCEPT },
      },
      this.signal,
    )
    answer.drop()
    if (answer.status === 404) return null
    if (isDigest(reference)) return reference
    const digest = answer.header("docker-content-digest")
    // The header is optional: without it the manifest itself says.
    if (digest === null || !isDigest(digest))
      return (await this.manifest(reference))?.descriptor.digest ?? null
    return digest
  }

  async putManifest(manifest: Blob, tag: string | null): Promise<void> {
    await this.putManifests([{ manifest, tag }])
  }

  async putManifests(manifests: readonly TaggedManifest[]): Promise<void> {
    for (const { tag } of manifests) if (tag !== null) checkTag(tag)
    const read = manifests.map((each) => ({ ...each, head: readManifestHead(each.manifest.bytes) }))
    const listed = new Set<Attached>()
    await inParallel(read, MANIFESTS_AT_ONCE, async (each) => {
      if (await this.storeManifest(each.manifest, each.tag)) listed.add(each)
    })
    const unlisted = Map.groupBy(
      read.filter((each) => !listed.has(each)),
      ({ head }) => head.subject,
    )
    await inParallel([...unlisted], MANIFESTS_AT_ONCE, async ([subject, attached]) => {
      if (subject !== null) await attachReferrers(this, subject, attached)
    })
  }

  /** Stores a manifest; says whether the registry itself lists it among the referrers of its subject. */
  async storeManifest({ descriptor, bytes }: Blob, tag: string | null): Promise<boolean> {
    const answer = await this.session.request(
      {
        method: "PUT",
        to: this.at(`manifests/${tag ?? descriptor.digest}`),
        scope: this.scope("pull,push"),
        expect: [201],
        headers: { "content-type": descriptor.mediaType },
        body: {
          length: bytes.length,
          async *parts() {
            yield bytes
          },
        },
      },
      this.signal,
    )
    answer.drop()
    const stored = answer.header("docker-content-digest")
    if (stored !== null && isDigest(stored) && stored !== descriptor.digest)
      throw new AppError("REGISTRY_MISBEHAVED", "the registry stored another manifest than it was given")
    return answer.header("oci-subject") !== null
  }

  async tags(): Promise<readonly string[]> {
    return listTags(this)
  }

  async referrers(digest: Digest): Promise<readonly Referrer[]> {
    checkDigest(digest)
    return listReferrers(this, digest)
  }

  async deleteManifest(digest: Digest): Promise<void> {
    checkDigest(digest)
    const stored = await this.manifest(digest)
    if (stored === null)
      throw new AppError("REGISTRY_NOT_FOUND", `${digest.slice(0, 19)}… is not in ${this.name}`)
    const request = {
      method: "DELETE",
      to: this.at(`manifests/${digest}`),
      scope: this.scope("delete"),
      expect: [200, 202],
    } as const
    const answer = await this.session.request(request, this.signal)
    answer.drop()
    const { subject } = readManifestHead(stored.bytes)
    if (subject !== null) await removeReferrer(this, subject, digest)
  }

  /** A path on the registry below this repository. */
  at(rest: string): string {
    return `/v2/${this.path}/${rest}`
  }

  scope(actions: string): string {
    return `repository:${this.path}:${actions}`
  }

  async #cancelUpload(location: string | null): Promise<void> {
    if (location === null || !URL.canParse(location, this.session.origin.href)) return
    const to = new URL(location, this.session.origin)
    const request = { method: "DELETE", to, scope: this.scope("pull,push"), expect: [200, 202, 204] } as const
    await this.session.once(request, this.signal).then(
      (answer) => answer.drop(),
      () => {}, // it expires by itself
    )
  }
}

function checkReference(reference: string): void {
  if (!isDigest(reference)) checkTag(reference)
}

function checkIs(bytes: Uint8Array, digest: Digest): void {
  if (sha256Digest(bytes) !== digest)
    throw new AppError("REGISTRY_DIGEST_MISMATCH", `what the registry sent is not ${digest.slice(0, 19)}…`)
}
