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
 * The bytes of a blob from `from` to `to` in stretches, fed to `hash` on the way. When the blob ends, what was hashed must be
 * what its name says (SEAL_DIGEST_MISMATCH), and the last stretch is held back until that is known. Two buffers take turns:
 * a stretch stays as it is until the one after the next is asked for.
 */
export async function* readBlobContent(
  blob: BlobName,
  content: BlobContent,
  hash: Hash = createHash("sha256"),
  from = 0,
  to = blob.size,
): AsyncGenerator<Buffer, void> {
  if (content.kind === "bytes" && content.bytes.length !== blob.size) throw mismatch(blob)
  const buffers =
    content.kind === "bytes"
      ? []
      : [0, 1].map(() => Buffer.allocUnsafeSlow(Math.min(STRETCH_BYTES, Math.max(1, to - from))))
  for (let at = from, turn = 0; at < to; turn += 1) {
    const length = Math.min(STRETCH_BYTES, to - at)
    let part: Buffer
    if (content.kind === "bytes") {
      part = Buffer.from(content.bytes.buffer, content.bytes.byteOffset + at, length)
    } else {
      part = buffers[turn % 2]?.subarray(0, length) ?? Buffer.alloc(0)
      await readFully(content.file, part, content.offset + at)
    }
    hash.update(part)
    at += length
    if (at === blob.size) checkContent(blob, hash)
    yield part
  }
  if (blob.size === 0) checkContent(blob, hash)
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
