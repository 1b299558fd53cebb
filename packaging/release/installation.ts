/**
 * The folder that runs anywhere: engine, command line, loopback host and device agent with their own Node, the native parts and
 * only the npm packages they need, for the system this runs on. Both products hold it: the headless package is this folder, and
 * the desktop program carries it as a resource.
 */
import { spawnSync } from "node:child_process"
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import path from "node:path"
import { compileSources } from "./compile.ts"
import { copyPackage, copyWithMode, licenceFile, type Target } from "./copy-package.ts"
import { bundledDependencies, productDependencies, type Dependency } from "./dependencies.ts"
import { thirdPartyLicences } from "./licences.ts"
import { billOfMaterials } from "./sbom.ts"

export interface InstallationOptions {
  readonly root: string
  readonly to: string
  /** Whether the window's pages lie in it; the desktop program has them in its archive. */
  readonly withPages: boolean
  readonly epoch: number
}

const NATIVE = ["sealwright.node", "libsealheap.node", "sealwright-runtime"]
export const LICENCES = "THIRD-PARTY-LICENCES.txt"
export const BOM = "sbom.cdx.json"
const COMMANDS = [
  ["sealwright", "bin.mjs"],
  ["age-plugin-sealwright", "age-plugin.mjs"],
  ["age-plugin-tag", "age-plugin.mjs"],
  ["age-plugin-tagpq", "age-plugin.mjs"],
] as const

export function makeInstallation({ root, to, withPages, epoch }: InstallationOptions): void {
  const target: Target = { platform: process.platform, arch: process.arch }
  rmSync(to, { recursive: true, force: true })
  compileSources(root, to)
  for (const name of NATIVE) {
    const built = path.join(root, "native", "build", "Release", name)
    // The launcher and the secret heap are for Linux alone.
    if (existsSync(built)) copyWithMode(built, path.join(to, "native", "build", "Release", name))
  }
  const packages = productDependencies(root)
  for (const { folder } of packages) copyPackage(path.join(root, folder), path.join(to, folder), target)
  cpSync(path.join(root, "packaging", "sample"), path.join(to, "packaging", "sample"), { recursive: true })
  const bundled: { place: string; packages: readonly Dependency[] }[] = []
  if (withPages) {
    cpSync(path.join(root, "dist", "renderer"), path.join(to, "dist", "renderer"), { recursive: true })
    bundled.push({ place: "dist/renderer", packages: bundledDependencies(root, "renderer-packages.json") })
  }
  const node = addNode(root, to)
  const { name, version } = readManifest(root)
  writeFileSync(
    path.join(to, "package.json"),
    `${JSON.stringify({ name, version, license: "Apache-2.0", private: true, type: "module" }, null, 2)}\n`,
  )
  copyWithMode(path.join(root, "LICENSE"), path.join(to, "LICENSE"))
  const all = [...packages, ...bundled.flatMap((each) => each.packages), node]
  writeFileSync(path.join(to, LICENCES), thirdPartyLicences(root, all))
  writeFileSync(
    path.join(to, BOM),
    billOfMaterials({
      name,
      version,
      epoch,
      packages,
      bundled,
      programs: [{ name: "node", version: node.version, licence: node.licence }],
      natives: nativeFiles(to),
      folder: to,
    }),
  )
  settleModes(to)
}

export function readManifest(root: string): {
  readonly name: string
  readonly version: string
  readonly description: string
} {
  // Our own file.
  return JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as ReturnType<typeof readManifest>
}

/** Files with machine code, relative to `folder`, sorted. */
export function nativeFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => name.split(path.sep).join("/"))
    .filter((name) =>
      /\.(node|dll|dylib|exe)$|\.so(\.\d+)*$|(^|\/)(bin\/node|sealwright-runtime)$/.test(name),
    )
    .sort()
}

/** Node as npm installed it, and a script a command that starts it, wherever the folder lies. */
function addNode(root: string, to: string): Dependency {
  const isWindows = process.platform === "win32"
  const folder = `node_modules/node-${isWindows ? "win" : process.platform}-${process.arch}`
  const program = isWindows ? "node.exe" : "node"
  copyWithMode(path.join(root, folder, "bin", program), path.join(to, "bin", program))
  if (licenceFile(path.join(root, folder)) === null) throw new Error("Node comes without its licence")
  for (const [command, script] of COMMANDS) {
    if (isWindows) {
      const text = `@"%~dp0node.exe" "%~dp0..\\main\\cli\\${script}" %*\r\n`
      writeFileSync(path.join(to, "bin", `${command}.cmd`), text)
    } else {
      const text = `#!/bin/sh\nhere=$(dirname -- "$(readlink -f -- "$0")")\nexec "$here/node" "$here/../main/cli/${script}" "$@"\n`
      writeFileSync(path.join(to, "bin", command), text)
    }
  }
  const { stdout } = spawnSync(path.join(to, "bin", program), ["--version"], { encoding: "utf8" })
  return { name: "node", version: stdout.trim().replace(/^v/, ""), licence: "MIT", folder }
}

/** The same whatever the umask was: everybody reads, the owner writes, programs run. */
function settleModes(folder: string): void {
  chmodSync(folder, 0o755)
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name)
    if (lstatSync(file).isDirectory()) settleModes(file)
    else chmodSync(file, path.basename(folder) === "bin" || name === "sealwright-runtime" ? 0o755 : 0o644)
  }
}
