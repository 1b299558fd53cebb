/** Archives that come out the same whoever makes them, whenever: names sorted, times and owners fixed. */
import { spawnSync } from "node:child_process"
import path from "node:path"

/** `folder` becomes the archive's one top folder. */
export function makeTarball(folder: string, file: string, epoch: number): void {
  run("tar", [
    "--create",
    "--gzip",
    "--file",
    file,
    "--sort=name",
    `--mtime=@${epoch}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--format=gnu",
    "--directory",
    path.dirname(folder),
    path.basename(folder),
  ])
}

/** Throws with what the program said. */
export function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  const result = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, ...env } })
  if (result.status === 0) return result.stdout
  const reason = result.error?.message ?? `${result.stdout}${result.stderr}`
  throw new Error(`${command} failed: ${reason}`)
}
