/** Trust metadata inside a .seal file, as the two repositories a device sees. */
import { AppError } from "../../contract/errors.ts"
import type { ByteSource } from "../../core/bytes/source.ts"
import { sha256Digest } from "../../core/oci/manifest.ts"
import type { SealContents } from "../../core/oci/seal-file.ts"
import type { MetadataSource } from "../../core/tuf/client.ts"

export interface SealSources {
  readonly image: MetadataSource
  readonly director: MetadataSource
}

export function sealSources(file: ByteSource, contents: SealContents, deviceId: string): SealSources {
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
  return {
    image: {
      read: async (name, maxBytes) => read(name.startsWith("targets/") ? name : `image/${name}`, maxBytes),
    },
    director: {
      read: async (name, maxBytes) =>
        read(ROOT.test(name) ? `director/${name}` : `devices/${deviceId}/${name}`, maxBytes),
    },
  }
}

/** Roots are shared by all devices. */
const ROOT = /^\d+\.root\.json$/
