/** Trust metadata inside a .seal file, as the two repositories a device sees. */
import { AppError } from "../../contract/errors.ts"
import type { ByteSource } from "../../core/bytes/source.ts"
import { sha256Digest } from "../../core/oci/manifest.ts"
import type { SealContents } from "../../core/oci/seal-file.ts"
import { repositoriesIn, type Repositories } from "./repositories.ts"

export function sealSources(file: ByteSource, contents: SealContents, deviceId: string): Repositories {
  const read = async (name: string, maxBytes: number): Promise<Uint8Array | null> => {
    const found = contents.trust.get(name)
    if (found === undefined) return null
    const { entry, descriptor } = found
    if (entry.size > maxBytes)
      throw new AppError("METADATA_TOO_LARGE", `${name} is ${entry.size} bytes, more than ${maxBytes}`)
    const bytes = Uint8Array.from(await file.read(entry.offset, entry.size))
    if (sha256Digest(bytes) !== descriptor.digest)
      throw new AppError("SEAL_DIGEST_MISMATCH", `${name} does not have the content its name promises`)
    return bytes
  }
  return repositoriesIn(read, deviceId)
}
