/** Reading and writing stretches of files that somebody else opened, and hashing what passes. */
import { createHash, type Hash } from "node:crypto"
import { read, write } from "node:fs"
import { promisify } from "node:util"
import { AppError } from "../../contract/errors.ts"
import { toDigest } from "../../core/oci/manifest.ts"
import type { BlobContent, BlobName } from "../../services/ports/registry.ts"
import { readError, writeError } from "../files.ts"

/** Large enough that calls cost nothing beside the bytes, small enough to stay in a processor's cache. */
export const STRETCH_BYTES = 1 << 20

const readAt = promisify(read)
const writeAt = promisify(write)

/** Fills `buffer` from `offset`. Throws FILE_CHANGED when the file ends before. */
export async function readFully(file: number, buffer: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < buffer.length;) {
    const { bytesRead } = await readAt(file, buffer, done, buffer.length - done, offset + done).catch(
      (error: unknown) => {
        throw readError("the package", error)
      },
    )
    if (bytesRead === 0) throw new AppError("FILE_CHANGED", "the file became shorter while it was read")
    done += bytesRead
  }
}

export async function writeFully(file: number, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await writeAt(file, bytes, done, bytes.length - done, offset + done).catch(
      (error: unknown) => {
        throw writeError("the package", error)
      },
    )
    done += bytesWritten
  }
}

/**
 * The blob in stretches, from `from` on, through one buffer used again and again. At the end of the whole blob the content must
 * hash to its name (SEAL_DIGEST_MISMATCH); a reader that starts later than 0 brings the hash of what came before.
 */
export async function* readBlobContent(
  blob: BlobName,
  content: BlobContent,
  hash: Hash = createHash("sha256"),
  from = 0,
  to = blob.size,
): AsyncGenerator<Buffer, void> {
  if (content.kind === "bytes") {
    if (content.bytes.length !== blob.size) throw mismatch(blob)
    const part = Buffer.from(content.bytes.buffer, content.bytes.byteOffset + from, to - from)
    hash.update(part)
    if (to === blob.size) checkContent(blob, hash)
    yield part
    return
  }
  const buffer = Buffer.allocUnsafeSlow(Math.min(STRETCH_BYTES, Math.max(1, to - from)))
  for (let at = from; at < to;) {
    const part = buffer.subarray(0, Math.min(buffer.length, to - at))
    await readFully(content.file, part, content.offset + at)
    hash.update(part)
    at += part.length
    // The last stretch is held back until all is known to be right.
    if (at === blob.size) checkContent(blob, hash)
    yield part
  }
}

function checkContent(blob: BlobName, hash: Hash): void {
  if (toDigest(hash.digest()) !== blob.digest) throw mismatch(blob)
}

function mismatch({ digest }: BlobName): AppError {
  return new AppError(
    "SEAL_DIGEST_MISMATCH",
    `the blob ${digest.slice(0, 19)}… does not have the content its name promises`,
  )
}
