/** Writes a .seal file from front to back, patching the header of a streamed blob once its digest is known. */
import { concat } from "../core/bytes/bytes.ts"
import { EMPTY_CONFIG_BYTES, MEDIA } from "../core/oci/media-types.ts"
import {
  blobOf,
  layoutIndex,
  LAYOUT_FILE,
  sealIndex,
  toDigest,
  type Blob,
  type Descriptor,
} from "../core/oci/manifest.ts"
import { TAR_BLOCK_BYTES, TAR_END, tarHeader, tarPadding } from "../core/oci/tar.ts"
import type { PendingFile } from "./ports.ts"

export class SealWriter {
  readonly #file: PendingFile
  readonly #written = new Set<string>()
  /** By digest. */
  readonly #manifests = new Map<string, Descriptor>()
  #at = 0

  constructor(file: PendingFile) {
    this.#file = file
  }

  get bytes(): number {
    return this.#at
  }

  /**
   * A blob written by somebody else: `write` gets the descriptor and offset to write at and returns what it wrote. The tar
   * entry in front of it is filled in afterwards, because it is named by the digest.
   */
  async stream(
    mediaType: string,
    write: (output: {
      readonly file: number
      readonly offset: number
    }) => Promise<{ readonly bytes: number; readonly digest: Uint8Array }>,
  ): Promise<Descriptor> {
    const headerAt = this.#at
    const { bytes, digest } = await write({ file: this.#file.number, offset: headerAt + TAR_BLOCK_BYTES })
    const descriptor = { mediaType, digest: toDigest(digest), size: bytes }
    await this.#file.write(headerAt, tarHeader(blobName(descriptor), bytes))
    this.#at = headerAt + TAR_BLOCK_BYTES + bytes
    await this.#append(tarPadding(bytes))
    this.#written.add(descriptor.digest)
    return descriptor
  }

  /** Whether a blob is in the file already. */
  has({ digest }: Descriptor): boolean {
    return this.#written.has(digest)
  }

  /** Room for a blob whose name is known and whose bytes come later; `null` when it has a place already. */
  async reserve(descriptor: Descriptor): Promise<{ readonly file: number; readonly offset: number } | null> {
    if (this.#written.has(descriptor.digest)) return null
    await this.#append(tarHeader(blobName(descriptor), descriptor.size))
    const offset = this.#at
    this.#at += descriptor.size
    await this.#append(tarPadding(descriptor.size))
    this.#written.add(descriptor.digest)
    return { file: this.#file.number, offset }
  }

  /** A blob in memory; writing the same content twice stores it once. */
  async blob({ descriptor, bytes }: Blob): Promise<Descriptor> {
    if (!this.#written.has(descriptor.digest)) {
      await this.#entry(blobName(descriptor), bytes)
      this.#written.add(descriptor.digest)
    }
    return descriptor
  }

  /** A manifest, which the index of the file will list once. */
  async manifest(manifest: Blob): Promise<Descriptor> {
    const descriptor = await this.blob(manifest)
    this.#manifests.set(descriptor.digest, descriptor)
    return descriptor
  }

  /** The index, the layout's own files and the end of the archive. Packages are listed first: a tool that takes one entry takes those. */
  async finish(): Promise<void> {
    await this.blob(blobOf(MEDIA.empty, EMPTY_CONFIG_BYTES))
    const index = await this.blob(sealIndex([...this.#manifests.values()]))
    await this.#entry("index.json", layoutIndex(index))
    await this.#entry("oci-layout", LAYOUT_FILE)
    await this.#append(TAR_END)
  }

  async #entry(name: string, bytes: Uint8Array): Promise<void> {
    await this.#append(concat(tarHeader(name, bytes.length), bytes, tarPadding(bytes.length)))
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await this.#file.write(this.#at, bytes)
    this.#at += bytes.length
  }
}

function blobName(descriptor: Descriptor): string {
  return `blobs/sha256/${descriptor.digest.slice("sha256:".length)}`
}
