import { randomBytes } from "node:crypto"
import { mkdir, open, realpath, rename, rm } from "node:fs/promises"
import path from "node:path"
import { writeError } from "../files.ts"

/** Replaces a file as a whole, readable by its owner alone. A link is followed: what it points to is replaced. */
export async function replacePrivateFile(file: string, text: string): Promise<void> {
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 })
    const target = await realpath(file).catch(() => file)
    const partial = `${target}.${randomBytes(6).toString("hex")}.partial`
    const handle = await open(partial, "wx", 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
      await rename(partial, target)
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw writeError(path.basename(file), error)
  }
}
