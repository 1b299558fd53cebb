/** Looks at the desktop program as electron-builder left it: its fuses, its archive, its engine. */
import { existsSync } from "node:fs"
import path from "node:path"
import { listPackage } from "@electron/asar"
import { FuseState, FuseV1Options, getCurrentFuseWire } from "@electron/fuses"
import { faultsOfInstallation } from "./check-installation.ts"

/** What each fuse must be. Integrity of the archive is checked by Electron on macOS and Windows alone; set it is everywhere. */
const FUSES: readonly (readonly [FuseV1Options, FuseState])[] = [
  [FuseV1Options.RunAsNode, FuseState.DISABLE],
  [FuseV1Options.EnableCookieEncryption, FuseState.ENABLE],
  [FuseV1Options.EnableNodeOptionsEnvironmentVariable, FuseState.DISABLE],
  [FuseV1Options.EnableNodeCliInspectArguments, FuseState.DISABLE],
  [FuseV1Options.EnableEmbeddedAsarIntegrityValidation, FuseState.ENABLE],
  [FuseV1Options.OnlyLoadAppFromAsar, FuseState.ENABLE],
  [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot, FuseState.DISABLE],
  [FuseV1Options.GrantFileProtocolExtraPrivileges, FuseState.DISABLE],
  // As Electron's makers leave it; there is nothing to configure.
  [FuseV1Options.WasmTrapHandlers, FuseState.ENABLE],
]
const IN_ARCHIVE = ["/package.json", "/shell/main.js", "/shell/preload.cjs", "/renderer/index.html"]

/** Fuses are set after electron-builder's `afterPack`, before it signs. A sentence for each that is not as it must be. */
export async function faultsOfFuses(program: string): Promise<readonly string[]> {
  const { version: _version, ...wire } = await getCurrentFuseWire(program)
  const decided = new Set(FUSES.map(([fuse]) => String(fuse)))
  return [
    ...FUSES.filter(([fuse, state]) => wire[fuse] !== state).map(
      ([fuse, state]) =>
        `the fuse ${FuseV1Options[fuse]} is not ${state === FuseState.ENABLE ? "on" : "off"}`,
    ),
    // A new Electron may bring a fuse nobody here has thought about.
    ...Object.keys(wire)
      .filter((fuse) => !decided.has(fuse))
      .map((fuse) => `nothing says how the fuse ${fuse} must be`),
  ]
}

/** `resources`: the program's folder of that name; `root`: the checkout. */
export function faultsOfResources(resources: string, root: string): readonly string[] {
  const archive = path.join(resources, "app.asar")
  if (!existsSync(archive)) return ["the program's archive is missing"]
  const files = listPackage(archive, { isPack: false }).map((file) => file.replaceAll("\\", "/"))
  return [
    ...IN_ARCHIVE.filter((file) => !files.includes(file)).map(
      (file) => `${file} is missing from the archive`,
    ),
    ...files
      .filter((file) => /node_modules|\.(ts|tsx|map|node)$/.test(file))
      .map((file) => `${file} does not belong in the archive`),
    ...(existsSync(path.join(resources, "app")) ? ["an unpacked app folder lies beside the archive"] : []),
    ...(existsSync(path.join(resources, "default_app.asar"))
      ? ["Electron's own program is still in it"]
      : []),
    ...faultsOfInstallation(path.join(resources, "engine"), root),
  ]
}
