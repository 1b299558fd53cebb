/**
 * A repository in a folder: an OCI image layout that any tool reads while it is written. Blobs appear under their digest when
 * complete and safely on the disk; `index.json` is replaced as a whole, by one writer at a time, after what it names. A crash
 * leaves at most a partial file nothing refers to, which the next writer removes.
 */
import { createHash, randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { link, mkdir, open, readdir, readFile, rename, rm, stat, unlink } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../../contract/errors.ts"
import {
  parseLayoutIndex,
  tagOf,
  withManifest,
  withoutManifest,
  withReplaced,
  writeLayoutIndex,
  type LayoutEntry,
} from "../../core/oci/layout-index.ts"
import {
  checkLayoutFile,
  LAYOUT_FILE,
  MAX_MANIFEST_BYTES,
  sha256Digest,
  toDigest,
  type Blob,
  type Digest,
} from "../../core/oci/manifest.ts"
import {
  readManifestHead,
  readReferrerIndex,
  referrerIndex,
  toReferrerEntry,
  type ReferrerEntry,
} from "../../core/oci/referrer-index.ts"
import { checkDigest, checkTag, isDigest } from "../../core/oci/reference.ts"
import {
  fallbackTag,
  type BlobContent,
  type BlobName,
  type BlobTarget,
  type OnBytes,
  type Referrer,
  type Repository,
  type StoredManifest,
  type TaggedManifest,
} from "../../services/ports/registry.ts"
import { codeOf, readError, syncFolder, writeError } from "../files.ts"
import { readBlobContent, readFully, STRETCH_BYTES, writeFully } from "./descriptor-io.ts"
import { withFolderLock } from "./folder-lock.ts"

const BLOBS = path.join("blobs", "sha256")
/** Beside the layout's own files; readers of layouts take no notice of it. */
const WORK = ".sealwright"

export class LayoutFolder implements Repository {
  readonly name: string
  readonly #folder: string
  readonly #signal: AbortSignal

  constructor(folder: string, signal: AbortSignal) {
    this.#folder = path.resolve(folder)
    this.#signal = signal
    this.name = `oci:${folder}`
  }

  below(name: string): LayoutFolder {
    return new LayoutFolder(path.join(this.#folder, name), this.#signal)
  }

  async blobSize(digest: Digest): Promise<number | null> {
    return sizeOf(this.#blobPath(digest))
  }

  async putBlob(blob: BlobName, content: BlobContent, onBytes?: OnBytes): Promise<"stored" | "present"> {
    const target = this.#blobPath(blob.digest)
    if ((await sizeOf(target)) === blob.size) return "present"
    await this.#prepare()
    await this.#write(target, async (file) => {
      let done = 0
      for await (const part of readBlobContent(blob, content)) {
        this.#signal.throwIfAborted()
        await writeFully(file, part, done)
        done += part.length
        onBytes?.(done)
      }
    })
    return "stored"
  }

  /** By a hard link, where the volume has them. */
  async mountBlob(blob: BlobName, from: Repository): Promise<boolean> {
    const target = this.#blobPath(blob.digest)
    if (!(from instanceof LayoutFolder)) return false
    const source = from.#blobPath(blob.digest)
    if ((await sizeOf(source)) !== blob.size) return false
    await this.#prepare()
    try {
      await link(source, target)
    } catch (error) {
      return codeOf(error) === "EEXIST" && (await sizeOf(target)) === blob.size
    }
    await guardWrite(async () => syncFolder(path.dirname(target)))
    return true
  }

  async readBlob(blob: BlobName, limit: number): Promise<Uint8Array> {
    const bytes = await readLimited(this.#blobPath(blob.digest), limit)
    if (bytes === null) throw missing(blob.digest)
    if (sha256Digest(bytes) !== blob.digest) throw mismatch(blob.digest)
    return bytes
  }

  async fetchBlob(blob: BlobName, target: BlobTarget, onBytes?: OnBytes): Promise<void> {
    const handle = await openIfThere(this.#blobPath(blob.digest))
    if (handle === null) throw missing(blob.digest)
    try {
      const { size } = await handle.stat()
      if (size !== blob.size)
        throw new AppError("REGISTRY_TRUNCATED", `the blob has ${size} bytes and should have ${blob.size}`)
      const hash = createHash("sha256")
      const buffer = Buffer.allocUnsafeSlow(STRETCH_BYTES)
      for (let at = 0; at < blob.size;) {
        this.#signal.throwIfAborted()
        const part = buffer.subarray(0, Math.min(buffer.length, blob.size - at))
        await readFully(handle.fd, part, at)
        hash.update(part)
        await writeFully(target.file, part, target.offset + at)
        at += part.length
        onBytes?.(at)
      }
      if (toDigest(hash.digest()) !== blob.digest) throw mismatch(blob.digest)
    } finally {
      await handle.close()
    }
  }

  async manifest(reference: string): Promise<StoredManifest | null> {
    for (let before: Digest | null = null; ;) {
      const digest = await this.manifestDigest(reference)
      if (digest === null) return null
      const stored = await this.#storedManifest(digest)
      // A list of referrers may be replaced between the look at its tag and the look at its content.
      if (stored !== null || digest === before) return stored
      before = digest
    }
  }

  async manifestDigest(reference: string): Promise<Digest | null> {
    if (isDigest(reference)) return (await this.blobSize(reference)) === null ? null : reference
    const entries = await this.#entries()
    return entries.find((entry) => tagOf(entry) === reference)?.digest ?? null
  }

  async putManifest(manifest: Blob, tag: string | null): Promise<void> {
    await this.putManifests([{ manifest, tag }])
  }

  async putManifests(manifests: readonly TaggedManifest[]): Promise<void> {
    const read = manifests.map((each) => ({ ...each, head: readManifestHead(each.manifest.bytes) }))
    for (const { tag, manifest } of read) {
      if (tag !== null) checkTag(tag)
      await this.#putBytes(manifest)
    }
    const attached = Map.groupBy(read, ({ head }) => head.subject)
    await this.#change(async (entries) => {
      let changed = entries
      for (const { manifest, tag, head } of read)
        if (head.subject === null || tag !== null) changed = withManifest(changed, manifest.descriptor, tag)
      for (const [subject, those] of attached) {
        if (subject === null) continue
        const wanted = those.map(({ manifest, head }) => toReferrerEntry(manifest, head))
        changed = await this.#withReferrers(changed, subject, (referrers) => [
          ...referrers,
          ...wanted.filter(({ descriptor }) => !isListed(referrers, descriptor.digest)),
        ])
      }
      return changed
    })
  }

  async tags(): Promise<readonly string[]> {
    const tags = (await this.#entries()).map((entry) => tagOf(entry)).filter((tag) => tag !== null)
    return [...new Set(tags)].sort()
  }

  async referrers(digest: Digest): Promise<readonly Referrer[]> {
    const index = await this.manifest(fallbackTag(digest))
    if (index === null) return []
    const found: Referrer[] = []
    for (const entry of readReferrerIndex(index.bytes)) {
      const manifest = await this.#storedManifest(entry.descriptor.digest)
      if (manifest === null) continue
      const { artifactType, annotations, subject } = readManifestHead(manifest.bytes)
      if (subject === digest) found.push({ descriptor: manifest.descriptor, artifactType, annotations })
    }
    return found
  }

  async deleteManifest(digest: Digest): Promise<void> {
    const manifest = await this.#storedManifest(digest)
    if (manifest === null) throw missing(digest)
    const { subject } = readManifestHead(manifest.bytes)
    await this.#change(async (entries) => {
      const left = withoutManifest(entries, digest)
      return subject === null
        ? left
        : this.#withReferrers(left, subject, (referrers) =>
            referrers.filter(({ descriptor }) => descriptor.digest !== digest),
          )
    })
    await guardWrite(async () => rm(this.#blobPath(digest), { force: true }))
  }

  /** The entries with the referrers of `subject` changed: their index written, its tag moved. */
  async #withReferrers(
    entries: readonly LayoutEntry[],
    subject: Digest,
    change: (referrers: readonly ReferrerEntry[]) => readonly ReferrerEntry[],
  ): Promise<readonly LayoutEntry[]> {
    const tag = fallbackTag(subject)
    const before = entries.find((entry) => tagOf(entry) === tag)
    const stored = before === undefined ? null : await this.#storedManifest(before.digest)
    const index = referrerIndex(change(stored === null ? [] : readReferrerIndex(stored.bytes)))
    if (before?.digest === index.descriptor.digest) return entries
    await this.#putBytes(index)
    return withReplaced(entries, index.descriptor, tag)
  }

  async #storedManifest(digest: Digest): Promise<StoredManifest | null> {
    const bytes = await readLimited(this.#blobPath(digest), MAX_MANIFEST_BYTES)
    if (bytes === null) return null
    if (sha256Digest(bytes) !== digest) throw mismatch(digest)
    const { mediaType } = readManifestHead(bytes)
    return { descriptor: { mediaType, digest, size: bytes.length }, bytes }
  }

  async #putBytes({ descriptor, bytes }: Blob): Promise<void> {
    await this.putBlob(descriptor, { kind: "bytes", bytes })
  }

  async #entries(): Promise<readonly LayoutEntry[]> {
    const bytes = await readLimited(path.join(this.#folder, "index.json"), MAX_INDEX_BYTES)
    return bytes === null ? [] : parseLayoutIndex(bytes)
  }

  /** Reads, changes and replaces `index.json` while no other writer does. */
  async #change(change: (entries: readonly LayoutEntry[]) => Promise<readonly LayoutEntry[]>): Promise<void> {
    await this.#prepare()
    await withFolderLock(path.join(this.#folder, WORK, "lock"), this.#signal, async () => {
      const before = await this.#entries()
      const after = await change(before)
      if (after === before) return
      await this.#write(path.join(this.#folder, "index.json"), async (file) =>
        writeFully(file, writeLayoutIndex(after), 0),
      )
      await this.#removeSuperseded(before, after)
    })
  }

  /** Lists of referrers that a newer one replaced. Nothing else refers to them. */
  async #removeSuperseded(before: readonly LayoutEntry[], after: readonly LayoutEntry[]): Promise<void> {
    const kept = new Set(after.map((entry) => entry.digest))
    for (const entry of before) {
      if (!kept.has(entry.digest) && FALLBACK_TAG.test(tagOf(entry) ?? ""))
        await guardWrite(async () => rm(this.#blobPath(entry.digest), { force: true }))
    }
  }

  /** Makes the layout, or checks that a folder that is there is one. */
  async #prepare(): Promise<void> {
    const marker = path.join(this.#folder, "oci-layout")
    const found = await readLimited(marker, MAX_MANIFEST_BYTES)
    if (found !== null) checkLayoutFile(found)
    else await this.#checkUnused()
    await guardWrite(async () => {
      await mkdir(path.join(this.#folder, BLOBS), { recursive: true })
      await mkdir(path.join(this.#folder, WORK), { recursive: true })
    })
    if (found === null) await this.#write(marker, async (file) => writeFully(file, LAYOUT_FILE, 0))
  }

  /** A folder full of other things does not become a layout by mistake. */
  async #checkUnused(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => [])
    const foreign = names.find((name) => ![WORK, "blobs", "index.json", "grants"].includes(name))
    if (foreign !== undefined)
      throw new AppError("OUTPUT_UNWRITABLE", "the folder holds other things and is not an OCI layout")
  }

  /** A file that appears under its name complete and safely stored, or not at all. */
  async #write(target: string, fill: (file: number) => Promise<void>): Promise<void> {
    const work = path.join(this.#folder, WORK)
    await removeAbandoned(work)
    const partial = path.join(work, `${process.pid}-${randomBytes(8).toString("hex")}.partial`)
    await guardWrite(async () => {
      const handle = await open(partial, "wx")
      try {
        await fill(handle.fd)
        await handle.sync()
      } catch (error) {
        await unlink(partial)
        throw error
      } finally {
        await handle.close()
      }
      await rename(partial, target)
      await syncFolder(path.dirname(target))
    })
  }

  #blobPath(digest: Digest): string {
    checkDigest(digest)
    return path.join(this.#folder, BLOBS, digest.slice("sha256:".length))
  }
}

function isListed(referrers: readonly ReferrerEntry[], digest: Digest): boolean {
  return referrers.some(({ descriptor }) => descriptor.digest === digest)
}

const FALLBACK_TAG = /^sha256-[0-9a-f]{64}$/
/** An index lists tags by the hundred thousand before it comes near this. */
const MAX_INDEX_BYTES = 256 << 20

async function openIfThere(file: string) {
  try {
    return await open(file, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return null
    throw readError("the folder", error)
  }
}

async function readLimited(file: string, limit: number): Promise<Uint8Array | null> {
  const size = await sizeOf(file)
  if (size === null) return null
  if (size > limit)
    throw new AppError("REGISTRY_TOO_LARGE", `a document of ${size} bytes, at most ${limit} are read`)
  try {
    return Uint8Array.from(await readFile(file))
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null
    throw readError("the folder", error)
  }
}

async function sizeOf(file: string): Promise<number | null> {
  try {
    const stats = await stat(file)
    return stats.isFile() ? stats.size : null
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error))) return null
    throw readError("the folder", error)
  }
}

/** Partial files of processes that no longer run. */
async function removeAbandoned(work: string): Promise<void> {
  for (const name of await readdir(work).catch(() => [])) {
    const pid = Number(/^(\d+)-[0-9a-f]+\.partial$/.exec(name)?.[1] ?? process.pid)
    if (!isRunning(pid)) await rm(path.join(work, name), { force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) !== "ESRCH"
  }
}

async function guardWrite(action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (error) {
    throw writeError("the folder", error)
  }
}

function missing(digest: Digest): AppError {
  return new AppError("REGISTRY_NOT_FOUND", `${digest.slice(0, 19)}… is not in the folder`)
}

function mismatch(digest: Digest): AppError {
  return new AppError(
    "REGISTRY_DIGEST_MISMATCH",
    `${digest.slice(0, 19)}… does not have the content its name promises`,
  )
}
