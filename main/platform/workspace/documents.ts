import { readdir, readFile, rm } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../../contract/errors.ts"
import { guardWorkspace, missingAsNull, replacePrivate } from "./private-files.ts"
import type { Documents } from "../../services/ports/documents.ts"

/** Documents as files below `root`. */
export function documentFiles(root: string): Documents {
  const pathOf = (name: string): string => {
    // Names are ours, but parts of them (devices, roles) come from documents: nothing may lead outside.
    for (const segment of name.split("/")) {
      if (!SEGMENT.test(segment))
        throw new AppError("NAME_INVALID", `"${name.slice(0, 80)}" cannot name a document`)
    }
    return path.join(root, ...name.split("/"))
  }
  return {
    read: async (name) => guardWorkspace(async () => readFile(pathOf(name)).catch(missingAsNull)),
    write: async (name, bytes) => replacePrivate(pathOf(name), bytes),
    remove: async (name) => guardWorkspace(async () => rm(pathOf(name), { force: true })),
    list: async (folder) => {
      const entries = await guardWorkspace(async () =>
        readdir(pathOf(folder), { withFileTypes: true }).catch(missingAsNull),
      )
      return (entries ?? [])
        .filter((entry) => !entry.name.startsWith("."))
        .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
        .sort()
    },
  }
}

/** No segment starts with a dot: those are half-written files. */
const SEGMENT = /^[A-Za-z0-9_%][A-Za-z0-9._%-]{0,199}$/
