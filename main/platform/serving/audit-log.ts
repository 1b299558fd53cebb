/** The local audit log: one JSON line a call, appended, readable by its owner alone. */
import { mkdirSync } from "node:fs"
import { open, type FileHandle } from "node:fs/promises"
import path from "node:path"
import type { AuditLog } from "../../services/ports/serving.ts"

export function auditLog(file: string): AuditLog {
  let handle: Promise<FileHandle> | null = null
  let waiting: string[] = []
  let writing: Promise<void> = Promise.resolve()
  const write = async () => {
    if (waiting.length === 0) return
    const lines = waiting.join("")
    waiting = []
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
    handle ??= open(file, "a", 0o600)
    await (await handle).write(lines)
  }
  const schedule = async () => {
    const before = writing
    writing = (async () => {
      await before
      await write()
    })()
    return writing
  }
  return {
    append(record) {
      waiting.push(`${JSON.stringify(record)}\n`)
      // Calls that come together are written together.
      if (waiting.length === 1) setImmediate(() => void schedule())
    },
    async flush() {
      await schedule()
      await (await handle)?.close()
      handle = null
    },
  }
}
