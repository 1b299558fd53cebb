import { mkdir } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../../contract/errors.ts"
import type { WorkspaceLocks } from "../../services/ports/locks.ts"
import { withFolderLock } from "../registry/folder-lock.ts"
import { guardWorkspace } from "./private-files.ts"
import { checkName } from "./records.ts"

/** Locks as files of `folder`, one an area. */
export function workspaceLocks(folder: string): WorkspaceLocks {
  return {
    exclusive: async (area, signal, work) => {
      checkName(area)
      await guardWorkspace(async () => mkdir(folder, { recursive: true, mode: 0o700 }))
      const busy = () => new AppError("WORKSPACE_BUSY", `another process is at work on ${area}`)
      return withFolderLock(path.join(folder, area), signal ?? new AbortController().signal, work, busy)
    },
  }
}
