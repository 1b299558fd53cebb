import type { NativePayload } from "../../../native/lib/payload.ts"
import { checkOutcome, type BatchBackend } from "./backend.ts"

/** Batches in C++ on libuv's threads: no second isolate, contexts reused, no allocation a chunk. */
export function nativeBackend(native: NativePayload): BatchBackend {
  return {
    name: "native",
    cipher: native.cipher,
    allocate: (bytes) => new Uint8Array(bytes),
    seal: native.seal,
    open: native.open,
    read: native.read,
    write: native.write,
    createDigest() {
      const digest = native.createDigest()
      return {
        update: async (bytes) => checkOutcome(await native.digest(digest, bytes)),
        finish: async () => native.finishDigest(digest),
      }
    },
    close: async () => {},
  }
}
