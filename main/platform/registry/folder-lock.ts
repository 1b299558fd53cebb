/**
 * One writer at a time, between threads and processes. SQLite's own file lock serves: it exists on every platform Node runs
 * on, and the system releases it when its holder dies, so that no crash leaves a lock behind.
 */
import { DatabaseSync } from "node:sqlite"
import { setTimeout as delay } from "node:timers/promises"
import { AppError } from "../../contract/errors.ts"

/** Nobody holds the lock longer than it takes to write one small file. */
const PATIENCE_MS = 60_000
const SQLITE_BUSY = 5

/** Runs `work` while nobody else holds the lock on `file`. Throws `busy` (REGISTRY_BUSY unless given), OUTPUT_UNWRITABLE. */
export async function withFolderLock<T>(
  file: string,
  signal: AbortSignal,
  work: () => Promise<T>,
  busy = () => new AppError("REGISTRY_BUSY", "another process holds the folder's index"),
): Promise<T> {
  const lock = openLock(file)
  try {
    for (const deadline = performance.now() + PATIENCE_MS; !tryLock(lock);) {
      if (performance.now() > deadline) throw busy()
      // Unequal waits, so that waiters do not meet again.
      await delay(2 + Math.random() * 20, undefined, { signal })
    }
    return await work()
  } finally {
    lock.close()
  }
}

function openLock(file: string): DatabaseSync {
  try {
    return new DatabaseSync(file, { timeout: 0 })
  } catch (error) {
    throw new AppError("OUTPUT_UNWRITABLE", "the lock file of the folder cannot be opened", { cause: error })
  }
}

function tryLock(lock: DatabaseSync): boolean {
  try {
    lock.exec("BEGIN EXCLUSIVE")
    return true
  } catch (error) {
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) return false
    throw new AppError("OUTPUT_UNWRITABLE", "the folder cannot be locked", { cause: error })
  }
}
