import { randomBytes } from "node:crypto"
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../../contract/errors.ts"
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
    read: async (name) => guard(async () => readFile(pathOf(name)).catch(missingAsNull)),
    write: async (name, bytes) => guard(async () => replaceFile(pathOf(name), bytes)),
    remove: async (name) => guard(async () => rm(pathOf(name), { force: true })),
    list: async (folder) => {
      const entries = await guard(async () =>
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

async function replaceFile(target: string, bytes: Uint8Array): Promise<void> {
  const folder = path.dirname(target)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const partial = path.join(folder, `.${path.basename(target)}.${randomBytes(6).toString("hex")}.partial`)
  try {
    const handle = await open(partial, "wx", 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(partial, target)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

async function guard<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    const code = codeOf(error)
    if (code === "ENOSPC" || code === "EDQUOT")
      throw new AppError("NO_SPACE", "the volume of the workspace is full", { cause: error })
    if (code.startsWith("E"))
      throw new AppError("WORKSPACE_UNUSABLE", `the workspace cannot be used (${code})`, { cause: error })
    throw error
  }
}

function missingAsNull(error: unknown): null {
  if (codeOf(error) === "ENOENT") return null
  throw error
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : ""
}
