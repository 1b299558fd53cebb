import path from "node:path"

/** Path of a file or folder under test/vectors. */
export function vector(...parts: readonly string[]): string {
  return path.join(import.meta.dirname, "..", "vectors", ...parts)
}
