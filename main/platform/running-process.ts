import { readFileSync } from "node:fs"

/** Whether the process with this number still runs. One that ended and was not waited for yet does not. */
export function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH")
  }
  try {
    // Linux: the state follows the name in parentheses, which may itself hold any character.
    return !/\) [ZX] [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, "latin1"))
  } catch {
    return true
  }
}
