/** The tracing part of the native addon: sums over code words, on libuv's threads. See native/src/trace.cc. */
import { addon } from "./addon.ts"

export interface NativeTrace {
  /**
   * One sum a copy. `keys`: 32 bytes a tensor, copied and wiped; `weights` and `bias`: a list of one length a tensor, which
   * must stay untouched until the promise settles; `copies`: 5 bytes each, device number (u32 big-endian) and try.
   */
  readonly sumCodeWords: (
    keys: Uint8Array,
    weights: readonly Int16Array[],
    bias: readonly Uint8Array[],
    copies: Uint8Array,
  ) => Promise<readonly number[]>
}

/** The native tracing functions, or `null` when the addon is not built for this platform. */
export function nativeTrace(): NativeTrace | null {
  const loaded = addon()
  // The addon is compiled from native/src/trace.cc, whose only export is this.
  return loaded.kind === "loaded" ? (loaded.exports as NativeTrace) : null
}
