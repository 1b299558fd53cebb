/**
 * `npm run package [-- --electron-dist DIR] [--output DIR]`: what is given to users, made and looked at. With a folder that holds Electron's
 * program the desktop program; without one the headless package. Needs no network.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, statSync } from "node:fs"
import path from "node:path"
import { parseArgs } from "node:util"
import { packHeadless } from "./release/headless.ts"

const root = path.resolve(import.meta.dirname, "..")
const { values } = parseArgs({
  options: { "electron-dist": { type: "string" }, output: { type: "string", default: "dist/package" } },
})
const out = path.resolve(values.output)
mkdirSync(out, { recursive: true })

const dist = values["electron-dist"]
if (dist === undefined)
  console.log(
    "No --electron-dist: this makes the headless package. The desktop program needs Electron's distribution folder.",
  )
const files =
  dist === undefined
    ? packHeadless(root, out, epoch())
    : await (await import("./release/desktop.ts")).packDesktop(root, path.resolve(dist), out, epoch())
for (const file of files)
  console.log(`${path.relative(process.cwd(), file)}  ${(statSync(file).size / 1e6).toFixed(1)} MB`)

/** The time in all archives: SOURCE_DATE_EPOCH, else that of the last commit, so that the same sources give the same bytes. */
function epoch(): number {
  const given = process.env["SOURCE_DATE_EPOCH"]
  if (given !== undefined && /^\d+$/.test(given)) return Number(given)
  const { stdout } = spawnSync("git", ["log", "-1", "--format=%ct"], { cwd: root, encoding: "utf8" })
  return /^\d+\s*$/.test(stdout ?? "") ? Number(stdout) : 315_532_800
}
