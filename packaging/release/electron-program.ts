/** Where Electron's program is on this computer, if it is. Its npm package holds only a way to download it. */
import { existsSync } from "node:fs"
import path from "node:path"

export type ElectronProgram =
  | { readonly kind: "found"; readonly program: string; readonly folder: string; readonly reason: string }
  | { readonly kind: "missing"; readonly reason: string }

/** ELECTRON_DIST names the folder of an unpacked distribution; without it the one npm may have downloaded counts. */
export function findElectron(root: string, env: NodeJS.ProcessEnv = process.env): ElectronProgram {
  const named = env["ELECTRON_DIST"] ?? ""
  const installed = path.join(root, "node_modules", "electron", "dist")
  const folder = named === "" ? installed : path.resolve(named)
  const program = path.join(folder, electronName())
  if (existsSync(program))
    return {
      kind: "found",
      program,
      folder,
      reason: named === "" ? "Electron is installed" : "ELECTRON_DIST holds Electron",
    }
  return {
    kind: "missing",
    reason:
      named === ""
        ? "Electron's program was not downloaded (node_modules/electron/dist) and ELECTRON_DIST names no other"
        : `ELECTRON_DIST (${named}) holds no ${electronName()}`,
  }
}

function electronName(): string {
  if (process.platform === "darwin") return path.join("Electron.app", "Contents", "MacOS", "Electron")
  return process.platform === "win32" ? "electron.exe" : "electron"
}
