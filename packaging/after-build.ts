/** electron-builder's hook when everything is made: fuses are set after `afterPack`, so they are looked at here. */
import { existsSync, readdirSync } from "node:fs"
import path from "node:path"
import type { BuildResult } from "electron-builder"
import { faultsOfFuses } from "./release/check-desktop.ts"

/** Where the program lies in each unpacked folder, and the file that has the fuses. */
const PROGRAMS: readonly (readonly [folder: RegExp, program: string])[] = [
  [/^linux(-\w+)?-unpacked$/, "sealwright-desktop"],
  [/^win(-\w+)?-unpacked$/, "Sealwright.exe"],
  [/^mac(-\w+)?$/, path.join("Sealwright.app", "Contents", "MacOS", "Sealwright")],
]

export default async function afterBuild({ outDir }: Pick<BuildResult, "outDir">): Promise<string[]> {
  const faults: string[] = []
  let checked = 0
  for (const folder of readdirSync(outDir)) {
    const program = PROGRAMS.find(([pattern]) => pattern.test(folder))?.[1]
    if (program === undefined || !existsSync(path.join(outDir, folder, program))) continue
    checked += 1
    faults.push(...(await faultsOfFuses(path.join(outDir, folder, program))))
  }
  if (checked === 0) faults.push("no program was found to look at")
  if (faults.length > 0) throw new Error(`the program may not be shipped:\n  ${faults.join("\n  ")}`)
  return []
}
