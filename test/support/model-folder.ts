/** Models in memory for signature tests: what a folder walk and a hashing reader would deliver. */
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import type { PresentFile, RangeDigest } from "../../main/core/attest/model-files.ts"
import type { HashedFile } from "../../main/core/attest/model-signing.ts"

export type ModelFolder = ReadonlyMap<string, Uint8Array>

export function folderOf(files: Readonly<Record<string, string>>): ModelFolder {
  return new Map(Object.entries(files).map(([name, text]) => [name, new TextEncoder().encode(text)]))
}

export function readFolder(folder: string): ModelFolder {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
  return new Map(names.map((name) => [name, readFileSync(path.join(folder, name))]))
}

export function presentFiles(model: ModelFolder): readonly PresentFile[] {
  return [...model].map(([name, bytes]) => ({ name, sizeBytes: bytes.length }))
}

export function hashedFiles(model: ModelFolder): readonly HashedFile[] {
  return [...model].map(([name, bytes]) => ({
    name,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  }))
}

export function digestsOf(model: ModelFolder): RangeDigest {
  return async (name, start, end, algorithm) => {
    const bytes = model.get(name)
    if (bytes === undefined || end > bytes.length)
      throw new Error(`asked for ${name} from ${start} to ${end}`)
    return createHash(algorithm).update(bytes.subarray(start, end)).digest()
  }
}
