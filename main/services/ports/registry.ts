/**
 * Where packages are kept: a repository of an OCI registry, or a folder that is an OCI image layout. Both keep blobs by
 * digest, manifests by digest and tag, and bundles attached to manifests. Neither is believed: whatever is read is
 * checked against the digest it was asked for, and what a tag says is only a claim of whoever keeps it.
 */
import type { ErrorCode } from "../../contract/errors.ts"
import type {
  Place,
  PushRequest,
  QueuedPush,
  RegistryCheck,
  RegistryHost,
} from "../../contract/schema/registry.ts"
import type { Blob, Descriptor, Digest } from "../../core/oci/manifest.ts"

/** Which repository. A folder may be on any volume; its `grants` are a layout in a folder inside. */
export type RepositoryPlace = Place

/** The document with the certificates (PEM) a workspace trusts for a host, `HOST[:PORT]`. */
export function authorityDocument(host: string): string {
  return `registry-authorities/${encodeURIComponent(host)}.pem`
}

export interface Registries {
  /**
   * Nothing is contacted or made yet. Aborting `signal` ends whatever the repository is doing with CANCELLED. Throws
   * REGISTRY_REFERENCE_INVALID.
   */
  open(place: RepositoryPlace, signal: AbortSignal): Repository
  /** What is trusted about a host changed: its connections end, and new ones begin with what holds now. */
  forget(host: string): void
}

/** What names a blob: enough to ask for it and to check what came. */
export type BlobName = Pick<Descriptor, "digest" | "size">

/** Where the bytes of a blob are. `file` is a descriptor open for reading, the blob starts at `offset`. */
export type BlobContent =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly file: number; readonly offset: number }

/** A stretch of an open file that a blob is written to. After a failure it holds whatever came before. */
export interface BlobTarget {
  readonly file: number
  readonly offset: number
}

export interface StoredManifest extends Blob {
  readonly descriptor: Descriptor
}

/** A manifest and the tag that is to point at it, or none. */
export interface TaggedManifest {
  readonly manifest: Blob
  readonly tag: string | null
}

/** A manifest attached to another one. `artifactType` comes from the manifest itself, not from an index. */
export interface Referrer {
  readonly descriptor: Descriptor
  readonly artifactType: string
  readonly annotations: Readonly<Record<string, string>>
}

/** Called with the bytes of a blob that are done; starts again from a smaller number when a transfer starts over. */
export type OnBytes = (doneBytes: number) => void

/**
 * Throws REGISTRY_UNREACHABLE, REGISTRY_UNAUTHORIZED, REGISTRY_DENIED, REGISTRY_BUSY, REGISTRY_REFUSED or
 * REGISTRY_MISBEHAVED from anything below; a folder throws FILE_UNREADABLE, OUTPUT_UNWRITABLE and NO_SPACE instead.
 */
export interface Repository {
  /** As people write it, without tag. */
  readonly name: string
  /** The repository of that name below this one, such as `grants`. */
  below(name: string): Repository

  /** Length of the blob, bytes, or `null` when it is not there. */
  blobSize(digest: Digest): Promise<number | null>
  /**
   * Stores a blob unless it is there. The bytes are hashed on their way; content that is not what its name says is never
   * published (SEAL_DIGEST_MISMATCH).
   */
  putBlob(blob: BlobName, content: BlobContent, onBytes?: OnBytes): Promise<"stored" | "present">
  /** A blob of another repository of the same registry, stored here without moving its bytes. `false`: it must be put. */
  mountBlob(blob: BlobName, from: Repository): Promise<boolean>
  /** A small blob. Throws REGISTRY_NOT_FOUND, REGISTRY_TOO_LARGE above `limit`, REGISTRY_DIGEST_MISMATCH. */
  readBlob(blob: BlobName, limit: number): Promise<Uint8Array>
  /** A blob of any size, in constant memory. Throws REGISTRY_NOT_FOUND, REGISTRY_DIGEST_MISMATCH, REGISTRY_TRUNCATED. */
  fetchBlob(blob: BlobName, target: BlobTarget, onBytes?: OnBytes): Promise<void>

  /** The manifest behind a tag or digest, or `null`. At most 4 MiB (REGISTRY_TOO_LARGE); a digest is checked. */
  manifest(reference: string): Promise<StoredManifest | null>
  /** What a tag points to, or `null`; one small request. */
  manifestDigest(reference: string): Promise<Digest | null>
  /**
   * Stores a manifest and, with a tag, points the tag at it. Its blobs must be there. A manifest with a `subject` is listed
   * among the referrers of its subject, by the registry or by the index under the fallback tag, however many write at once.
   */
  putManifest(manifest: Blob, tag: string | null): Promise<void>
  /** The same for many: what is listed in one place, such as the bundles of one subject, is written there once. */
  putManifests(manifests: readonly TaggedManifest[]): Promise<void>
  /** Sorted. */
  tags(): Promise<readonly string[]>
  /** Manifests attached to `digest`, oldest first. */
  referrers(digest: Digest): Promise<readonly Referrer[]>
  /** Removes a manifest and every tag that points to it. Throws REGISTRY_UNSUPPORTED where deleting is switched off. */
  deleteManifest(digest: Digest): Promise<void>
}

/** The tag that lists the referrers of a manifest where there is no referrers API (OCI distribution-spec 1.1). */
export function fallbackTag(digest: Digest): string {
  return digest.replace(":", "-")
}

/** Logins, and whether a registry lets us in. */
export interface RegistryAccess {
  /**
   * Asks for the password of `username`, sees whether the registry takes it, and keeps it where other registry tools look for
   * it. Throws PROMPT_UNAVAILABLE, REGISTRY_UNAUTHORIZED, CREDENTIALS_UNREADABLE.
   */
  login(host: RegistryHost, username: string, signal: AbortSignal): Promise<"helper" | "file">
  /** Whether there was a login. */
  logout(host: string): Promise<boolean>
  check(host: RegistryHost, signal: AbortSignal): Promise<RegistryCheck>
}

/** Pushes that wait for their registry; they survive the engine. */
export interface PushQueue {
  /** 32 bytes that only this workspace knows: tags of grants are made from them. The caller wipes its copy. */
  secret(): Promise<Uint8Array>
  add(request: PushRequest): Promise<QueuedPush>
  /** Oldest first. */
  list(): Promise<readonly QueuedPush[]>
  /** What is to be pushed, or `null` when the entry is gone. */
  request(id: string): Promise<PushRequest | null>
  /** Notes a failed attempt; `isFinal`: it is not tried again. */
  failed(id: string, code: ErrorCode, isFinal: boolean): Promise<void>
  /** Throws REGISTRY_NOT_FOUND. */
  remove(id: string): Promise<QueuedPush>
}
