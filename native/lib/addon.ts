import { createRequire } from "node:module"

/** The addon as loaded, or why it was not. */
export type AddonState =
  | { readonly kind: "loaded"; readonly exports: unknown }
  | { readonly kind: "missing"; readonly reason: string }

let state: AddonState | undefined

/** Loads `build/Release/sealwright.node` once. A missing addon is a fact to report, not a failure: slower paths exist. */
export function addon(): AddonState {
  state ??= load()
  return state
}

function load(): AddonState {
  try {
    return { kind: "loaded", exports: createRequire(import.meta.url)("../build/Release/sealwright.node") }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
    return {
      kind: "missing",
      reason: code === "MODULE_NOT_FOUND" ? "it is not built" : `it does not load (${code})`,
    }
  }
}
