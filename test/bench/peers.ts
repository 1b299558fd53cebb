/** Programs people would use instead, timed from outside like any of their users would. */
import { spawnSync } from "node:child_process"
import { rmSync } from "node:fs"

/** Seconds a program takes; its output file is removed before. Throws when it fails. */
export function timeCommand(
  output: string,
  command: string,
  args: readonly string[],
  input?: string,
): number {
  rmSync(output, { force: true })
  const startedAt = performance.now()
  const { status, stderr, error } = spawnSync(command, args, { input, stdio: ["pipe", "ignore", "pipe"] })
  if (status !== 0) throw new Error(`${command} failed: ${error?.message ?? stderr.toString()}`)
  return (performance.now() - startedAt) / 1000
}
