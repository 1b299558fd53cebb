/** Taking .seal files apart and putting them together wrongly. */
import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { sourceOf } from "../../main/core/bytes/source.ts"
import { readTar, TAR_END, tarHeader, tarPadding } from "../../main/core/oci/tar.ts"

export interface SealEntry {
  name: string
  bytes: Buffer
}

interface DescriptorJson {
  mediaType: string
  digest: string
  size: number
}

export interface ManifestJson {
  artifactType: string
  layers: (DescriptorJson & { annotations?: Record<string, string> })[]
  subject?: DescriptorJson
  manifests?: DescriptorJson[]
  annotations?: Record<string, string>
}

/** A .seal file as a list of entries that can be changed and written again. */
export class SealEditor {
  readonly entries: SealEntry[]

  static async read(file: string): Promise<SealEditor> {
    return SealEditor.parse(readFileSync(file))
  }

  static async parse(bytes: Buffer): Promise<SealEditor> {
    const entries = await readTar(sourceOf(bytes))
    return new SealEditor(
      entries.map(({ name, offset, size }) => ({
        name,
        bytes: Buffer.from(bytes.subarray(offset, offset + size)),
      })),
    )
  }

  private constructor(entries: SealEntry[]) {
    this.entries = entries
  }

  /** Another editor over the same contents: what is replaced here stays there. */
  copy(): SealEditor {
    return new SealEditor(this.entries.map((entry) => ({ ...entry })))
  }

  entry(name: string): SealEntry {
    const found = this.entries.find((each) => each.name === name)
    if (found === undefined) throw new Error(`no entry ${name}`)
    return found
  }

  blob(digest: string): SealEntry {
    return this.entry(blobName(digest))
  }

  /** The index of everything, as parsed. */
  get index(): { manifests: DescriptorJson[] } {
    const top = JSON.parse(this.entry("index.json").bytes.toString()) as { manifests: DescriptorJson[] }
    return JSON.parse(this.blob(top.manifests[0]?.digest ?? "").bytes.toString()) as {
      manifests: DescriptorJson[]
    }
  }

  /** Manifests of one artifact type, with their digests. */
  manifests(artifactType: string): { readonly digest: string; readonly manifest: ManifestJson }[] {
    return this.index.manifests
      .map(({ digest }) => ({
        digest,
        manifest: JSON.parse(this.blob(digest).bytes.toString()) as ManifestJson,
      }))
      .filter(({ manifest }) => manifest.artifactType.includes(artifactType))
  }

  /** Replaces a blob's content and name, and every mention of its old digest and size, all the way up to index.json. */
  replaceBlob(digest: string, bytes: Buffer): void {
    const entry = this.blob(digest)
    const before = entry.bytes.length
    entry.bytes = bytes
    const after = digestOf(bytes)
    entry.name = blobName(after)
    for (const parent of this.entries) {
      if (parent === entry || !parent.bytes.includes(digest) || parent.bytes[0] !== 0x7b) continue
      const text = parent.bytes
        .toString()
        .replaceAll(`"digest":"${digest}","size":${before}`, `"digest":"${after}","size":${bytes.length}`)
      if (parent.name.startsWith("blobs/"))
        this.replaceBlob(`sha256:${parent.name.slice(13)}`, Buffer.from(text))
      else parent.bytes = Buffer.from(text)
    }
  }

  write(file: string): void {
    writeFileSync(file, this.toBytes())
  }

  toBytes(): Buffer {
    return tarOf(this.entries)
  }
}

/** A tar of entries in the order given; names are not checked, so that bad ones can be made. */
export function tarOf(entries: readonly SealEntry[]): Buffer {
  return Buffer.concat([
    ...entries.flatMap(({ name, bytes }) => [rawHeader(name, bytes.length), bytes, tarPadding(bytes.length)]),
    TAR_END,
  ])
}

/** The header of a regular file with whatever name; other fields may be changed, the checksum is made to fit. */
export function rawHeader(
  name: string | Buffer,
  size: number,
  change: (header: Buffer) => void = () => {},
): Buffer {
  const header = Buffer.from(tarHeader("placeholder", size))
  header.fill(0, 0, 100)
  Buffer.from(name).copy(header, 0, 0, 100)
  change(header)
  header.fill(0x20, 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1")
  return header
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`
}

function blobName(digest: string): string {
  return `blobs/sha256/${digest.slice("sha256:".length)}`
}
