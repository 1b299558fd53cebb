import type { NativePayload } from "../../../native/lib/payload.ts"
import { checkOutcome, type BatchBackend } from "./backend.ts"

/** Batches in C++ on the addon's threads: no second isolate, contexts reused, no allocation a chunk. */
export function nativeBackend(native: NativePayload): BatchBackend {
  return {
    name: "native",
    cipher: native.cipher,
    allocate: native.allocate,
    seal: native.seal,
    open: native.open,
    read: native.read,
    write: native.write,
    createDigests(streams) {
      const digests = Array.from({ length: streams }, () => native.createDigest())
      const of = (stream: number) => {
        const digest = digests[stream]
        if (digest === undefined) throw new RangeError(`stream ${stream} of ${streams}`)
        return digest
      }
      return {
        update: async (feeds) => {
          checkOutcome(await native.digest(feeds.map(({ stream, bytes }) => ({ digest: of(stream), bytes }))))
        },
        finish: async (stream) => native.finishDigest(of(stream)),
      }
    },
    close: async () => {},
  }
}
