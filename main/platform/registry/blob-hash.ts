/** SHA-256 of what passes, on another thread where the addon is built: the one that moves bytes has enough to do. */
import { createHash } from "node:crypto"
import { nativePayload } from "../../../native/lib/payload.ts"
import { AppError } from "../../contract/errors.ts"

export interface BlobHash {
  /** One at a time; `bytes` stay as they are until it is done. */
  update(bytes: Uint8Array): Promise<void>
  finish(): Uint8Array
}

export function createBlobHash(): BlobHash {
  const native = nativePayload()
  if (native === null) {
    const hash = createHash("sha256")
    return {
      update: async (bytes) => {
        hash.update(bytes)
      },
      finish: () => hash.digest(),
    }
  }
  const digest = native.createDigest()
  return {
    update: async (bytes) => {
      const { kind } = await native.digest([{ digest, bytes }])
      if (kind !== "done") throw new AppError("INTERNAL", "the hash could not be computed")
    },
    finish: () => native.finishDigest(digest),
  }
}
