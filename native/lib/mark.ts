/** The embedding part of the native addon: the loops of main/core/watermark/kernel.ts. See native/src/mark.cc. */
import { addon } from "./addon.ts"

type Add<Values> = (
  values: Values,
  first: number,
  inner: number,
  rows: number,
  codes: Uint8Array,
  amounts: Float64Array,
) => void

/** All change their values (or `codes`) in place before they return, and throw TypeError for arrays that do not fit together. */
export interface NativeMark {
  readonly markCodes: (
    owner: Uint8Array,
    signs: Uint8Array,
    skip: number,
    bias: Uint8Array,
    word: Uint8Array,
    /** By bias byte, 256 entries. */
    thresholds: Uint8Array,
    codes: Uint8Array,
  ) => void
  readonly markFloats: Add<Float32Array>
  readonly markHalves: Add<Uint16Array>
  readonly markBrains: Add<Uint16Array>
  readonly markSteps: (
    values: Uint8Array,
    first: number,
    inner: number,
    rows: number,
    codes: Uint8Array,
    picks: Uint32Array,
    limits: Float64Array,
    zeroPoints: Int32Array,
    isSigned: boolean,
  ) => void
}

/** The native loops, or `null` when the addon is not built for this platform or is too old to have them. */
export function nativeMark(): NativeMark | null {
  const loaded = addon()
  if (loaded.kind !== "loaded") return null
  // The addon is compiled from native/src/mark.cc, whose only exports these are; one built before it has none of them.
  const exports = loaded.exports as Partial<NativeMark>
  return exports.markSteps === undefined ? null : (exports as NativeMark)
}
