import { createRequire } from "node:module"

/** The addon as loaded, or why it was not. */
export type AddonState =
  | { readonly kind: "loaded"; readonly exports: unknown }
  | { readonly kind: "missing"; readonly reason: string }

/** Kept in step with native/src/addon.cc. */
const REVISION = 5

let state: AddonState | undefined

/** Loads `build/Release/sealwright.node` once. A missing addon is a fact to report, not a failure: slower paths exist. */
export function addon(): AddonState {
  state ??= load()
  return state
}

function load(): AddonState {
  try {
    const exports: unknown = createRequire(import.meta.url)("../build/Release/sealwright.node")
    const revision =
      typeof exports === "object" && exports !== null && "revision" in exports ? exports.revision : 1
    return revision === REVISION
      ? { kind: "loaded", exports }
      : { kind: "missing", reason: "it was built from other sources; build it again (npm run build:native)" }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
    return {
      kind: "missing",
      reason: code === "MODULE_NOT_FOUND" ? "it is not built" : `it does not load (${code})`,
    }
  }
}
