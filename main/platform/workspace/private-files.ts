/** Files of a workspace: written whole or not at all, readable by their owner alone, with failures in our codes. */
import { randomBytes } from "node:crypto"
import { mkdir, open, rename, rm } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../../contract/errors.ts"

/** Puts a file in place, in that of the one there is. Its half-written form starts with a dot. */
export async function replacePrivate(target: string, content: string | Uint8Array): Promise<void> {
  const folder = path.dirname(target)
  await guardWorkspace(async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const partial = path.join(folder, `.${path.basename(target)}.${randomBytes(6).toString("hex")}.partial`)
    try {
      const handle = await open(partial, "wx", 0o600)
      try {
        await handle.writeFile(content)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(partial, target)
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    }
  })
}

/** Failures of the file system as NO_SPACE and WORKSPACE_UNUSABLE. */
export async function guardWorkspace<T>(action: () => Promise<T>): Promise<T> {
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

export function missingAsNull(error: unknown): null {
  if (codeOf(error) === "ENOENT") return null
  throw error
}

export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : ""
}
