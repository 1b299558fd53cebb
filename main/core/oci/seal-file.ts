/** Reading a .seal file: an OCI image layout in a tar (docs/FORMAT.md 2 and 3), checked for shape and closure. */
import { AppError } from "../../contract/errors.ts"
import { readAhead, readAll, sliceSource, type ByteSource } from "../bytes/source.ts"
import {
  checkLayoutFile,
  MAX_MANIFEST_BYTES,
  parseIndex,
  parseManifest,
  sha256Digest,
  type Blob,
  type Descriptor,
  type Digest,
  type Manifest,
} from "./manifest.ts"
import { EMPTY_CONFIG, MEDIA } from "./media-types.ts"
import { readTar, type TarEntry } from "./tar.ts"

/** A Sigstore bundle is a signature and a small statement. */
const MAX_BUNDLE_BYTES = 4 << 20

/** A part of the package with its manifest, whose bytes hash to `digest`. */
export interface SealPart {
  readonly digest: Digest
  readonly manifest: Manifest
  /** The manifest as it was written: copies keep its digest. */
  readonly manifestBlob: Blob
  /** The layer: payload or grant. */
  readonly layer: Descriptor
  /** Where the layer's bytes lie in the .seal file. Their digest is not checked yet. */
  readonly entry: TarEntry
}

/** A bundle attached to a part; its bytes hash to what its manifest says. */
export interface AttachedBundle {
  readonly subject: Digest
  readonly predicateType: string
  readonly createdAt: string
  readonly bytes: Uint8Array
}

export interface SealContents {
  readonly packages: readonly SealPart[]
  readonly grants: readonly SealPart[]
  readonly bundles: readonly AttachedBundle[]
  /** Trust metadata by name; nothing about it is decided here. */
  readonly trust: ReadonlyMap<string, TrustEntry>
}

/** A document of trust metadata: its descriptor, and where its bytes lie. Their digest is not checked yet. */
export interface TrustEntry {
  readonly descriptor: Descriptor
  readonly entry: TarEntry
}

/**
 * The contents of a .seal file. Everything but the layers is read and checked against its digest; every blob must be
 * referred to and every reference must be there, so nothing can be smuggled in or quietly left out. Throws SEAL_MALFORMED,
 * SEAL_TRUNCATED, SEAL_UNSAFE_NAME, SEAL_DIGEST_MISMATCH, SEAL_INCOMPLETE, JSON_MALFORMED.
 */
export async function readSealFile(
  source: ByteSource,
  { mayLackPackages = false }: { readonly mayLackPackages?: boolean } = {},
): Promise<SealContents> {
  if (source.size === 0) throw new AppError("SEAL_MALFORMED", "the file is empty")
  const file = readAhead(source)
  const layout = new Layout(file, await readTar(file))
  checkLayoutFile(await layout.file("oci-layout"))
  const top = parseIndex(await layout.file("index.json"), "index.json")
  const [only, ...others] = top.manifests
  if (only === undefined || others.length > 0 || only.mediaType !== MEDIA.index) {
    throw new AppError("SEAL_MALFORMED", "index.json must refer to exactly one index")
  }
  const index = parseIndex(await layout.blob(only, MAX_MANIFEST_BYTES), "the seal index")
  if (index.artifactType !== MEDIA.seal) throw new AppError("SEAL_MALFORMED", "the index is not a seal index")

  const packages: SealPart[] = []
  const grants: SealPart[] = []
  const bundles: AttachedBundle[] = []
  const trust = new Map<string, TrustEntry>()
  for (const descriptor of index.manifests) {
    if (descriptor.mediaType !== MEDIA.manifest)
      throw new AppError("SEAL_MALFORMED", "the seal index lists something that is not a manifest")
    const bytes = await layout.blob(descriptor, MAX_MANIFEST_BYTES)
    const manifest = parseManifest(bytes)
    if (manifest.artifactType === MEDIA.trust) {
      for (const blob of manifest.layers) addTrust(trust, blob, layout.use(blob))
      continue
    }
    const [layer, ...more] = manifest.layers
    if (layer === undefined || more.length > 0)
      throw new AppError("SEAL_MALFORMED", "a manifest must have one layer")
    if (manifest.artifactType === MEDIA.bundle) bundles.push(await readBundle(layout, manifest, layer))
    else {
      const manifestBlob = { descriptor, bytes }
      const part = { digest: descriptor.digest, manifest, manifestBlob, layer, entry: layout.use(layer) }
      if (manifest.artifactType === MEDIA.package && layer.mediaType === MEDIA.payloadLayer)
        packages.push(part)
      else if (manifest.artifactType === MEDIA.grant && layer.mediaType === MEDIA.grantLayer)
        grants.push(part)
      else
        throw new AppError(
          "SEAL_MALFORMED",
          `a manifest of unknown type ${manifest.artifactType.slice(0, 100)}`,
        )
      if (manifest.subject !== undefined)
        throw new AppError("SEAL_MALFORMED", "a package or grant has a subject")
    }
  }
  if (packages.length === 0 && !mayLackPackages)
    throw new AppError("SEAL_INCOMPLETE", "the file holds no package")
  await layout.blob(EMPTY_CONFIG, EMPTY_CONFIG.size)
  layout.checkNothingUnused()
  return { packages, grants, bundles, trust }
}

function addTrust(trust: Map<string, TrustEntry>, descriptor: Descriptor, entry: TarEntry): void {
  const name = descriptor.annotations?.["org.opencontainers.image.title"] ?? ""
  const known = trust.get(name)
  if (descriptor.mediaType !== MEDIA.trustLayer || name === "")
    throw new AppError("SEAL_MALFORMED", "a document of trust metadata has no name or another type")
  if (known !== undefined && known.descriptor.digest !== descriptor.digest)
    throw new AppError("SEAL_MALFORMED", `two documents are called ${JSON.stringify(name.slice(0, 100))}`)
  trust.set(name, { descriptor, entry })
}

async function readBundle(layout: Layout, manifest: Manifest, layer: Descriptor): Promise<AttachedBundle> {
  if (layer.mediaType !== MEDIA.bundle || manifest.subject?.mediaType !== MEDIA.manifest) {
    throw new AppError("SEAL_MALFORMED", "a bundle manifest lacks its subject or its bundle")
  }
  return {
    subject: manifest.subject.digest,
    predicateType: manifest.annotations?.["dev.sigstore.bundle.predicateType"] ?? "",
    createdAt: manifest.annotations?.["org.opencontainers.image.created"] ?? "",
    bytes: await layout.blob(layer, MAX_BUNDLE_BYTES),
  }
}

/** The files of the layout, and which of them something refers to. */
class Layout {
  readonly #file: ByteSource
  readonly #entries: ReadonlyMap<string, TarEntry>
  readonly #unused: Set<string>

  constructor(file: ByteSource, entries: readonly TarEntry[]) {
    this.#file = file
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]))
    this.#unused = new Set(this.#entries.keys())
  }

  /** A small file of the layout by name. */
  async file(name: string): Promise<Uint8Array> {
    return this.#read(this.#take(name), MAX_MANIFEST_BYTES)
  }

  /** A small blob, checked against its descriptor. */
  async blob(descriptor: Descriptor, limit: number): Promise<Uint8Array> {
    const bytes = await this.#read(this.use(descriptor), limit)
    if (sha256Digest(bytes) !== descriptor.digest) throw mismatch(descriptor)
    return bytes
  }

  /** Where a blob lies; its size must be the one its descriptor states. */
  use(descriptor: Descriptor): TarEntry {
    const entry = this.#take(`blobs/sha256/${descriptor.digest.slice("sha256:".length)}`)
    if (entry.size !== descriptor.size) throw mismatch(descriptor)
    return entry
  }

  checkNothingUnused(): void {
    const [name] = this.#unused
    if (name !== undefined) {
      throw new AppError(
        "SEAL_MALFORMED",
        `nothing refers to the entry ${JSON.stringify(name.slice(0, 100))}`,
      )
    }
  }

  #take(name: string): TarEntry {
    const entry = this.#entries.get(name)
    if (entry === undefined) throw new AppError("SEAL_INCOMPLETE", `${name} is missing`)
    this.#unused.delete(name)
    return entry
  }

  async #read(entry: TarEntry, limit: number): Promise<Uint8Array> {
    const source = sliceSource(this.#file, entry.offset, entry.size)
    return readAll(
      source,
      limit,
      () => new AppError("SEAL_MALFORMED", `${entry.name} is larger than ${limit} bytes`),
    )
  }
}

function mismatch(descriptor: Descriptor): AppError {
  return new AppError(
    "SEAL_DIGEST_MISMATCH",
    `the blob ${descriptor.digest.slice(0, 19)}… is not what its name says`,
  )
}
