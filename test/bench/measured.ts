/** Runs our command line and finds out what all its processes read and held, from the kernel's own counts. */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, rmSync } from "node:fs"
import path from "node:path"
import { pathToFileURL } from "node:url"
import { ROOT } from "../support/workspace.ts"

export interface Measured {
  readonly seconds: number
  /** Bytes returned by read calls, all processes together. */
  readonly bytesRead: number
  /** Largest resident sizes of all processes, added up. */
  readonly peakBytes: number
  readonly processes: number
}

/** `folder`: an existing folder for the notes. Throws when the command fails. */
export function measureCli(folder: string, workspace: string, args: readonly string[]): Measured {
  const out = path.join(folder, "measured")
  const startedAt = performance.now()
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(ROOT, "main", "cli", "bin.mjs"), ...args],
    {
      env: {
        ...process.env,
        SEALWRIGHT_HOME: workspace,
        SEALWRIGHT_BENCH_OUT: out,
        NODE_OPTIONS: `--import ${pathToFileURL(path.join(import.meta.dirname, "at-exit.mjs")).href}`,
      },
    },
  )
  const seconds = (performance.now() - startedAt) / 1000
  if (status !== 0)
    throw new Error(`sealwright ${args[0] ?? ""} failed: ${stdout.toString()}${stderr.toString()}`)
  const notes = readdirSync(folder)
    .filter((name) => name.startsWith("measured."))
    .map((name) => {
      const file = path.join(folder, name)
      const note = JSON.parse(readFileSync(file, "utf8")) as { bytesRead: number; peakBytes: number } // at-exit.mjs
      rmSync(file)
      return note
    })
  return {
    seconds,
    bytesRead: notes.reduce((sum, note) => sum + note.bytesRead, 0),
    peakBytes: notes.reduce((sum, note) => sum + note.peakBytes, 0),
    processes: notes.length,
  }
}
