/** Copies an npm package without what only its authors and other platforms need. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs"
import path from "node:path"

export interface Target {
  /** As Node names them. */
  readonly platform: string
  readonly arch: string
}

const KEPT =
  /(^|\/)(package\.json|LICEN[CS]E[^/]*|NOTICE[^/]*|COPYING[^/]*)$|\.(js|mjs|cjs|json|node|wasm|dll|dylib)$|\.so(\.\d+)*$/i
const LEFT_OUT =
  /\.(min|umd|iife)\.js$|\.(test|spec|config)\.[cm]?js$|(^|\/)(tsconfig[^/]*\.json|bower\.json|binding\.gyp|bun\.lockb?)$/i
const FOLDERS_LEFT_OUT = new Set([
  "node_modules",
  "test",
  "tests",
  "__tests__",
  "example",
  "examples",
  "docs",
  "doc",
  "benchmark",
  "benchmarks",
  "typings",
  "coverage",
  "script",
  "scripts",
  "obj.target",
  "includes",
  ".github",
])
const PLATFORM_FOLDER = /^(aix|android|darwin|freebsd|ios|linux|openbsd|sunos|win32)(-.+)?$/
const ARCH_FOLDER = /^(x64|arm64|ia32|arm|ppc64|s390x|riscv64|loong64)$/

/** Nested packages stay behind: they are dependencies of their own. Returns the number of files. */
export function copyPackage(from: string, to: string, target: Target): number {
  let files = 0
  const walk = (folder: string): void => {
    for (const entry of readdirSync(path.join(from, folder), { withFileTypes: true })) {
      const name = path.posix.join(folder, entry.name)
      if (entry.isDirectory()) {
        if (isFolderKept(entry.name, folder, target)) walk(name)
      } else if (entry.isFile() && KEPT.test(name) && !LEFT_OUT.test(name)) {
        copyWithMode(path.join(from, name), path.join(to, name))
        files += 1
      }
    }
  }
  walk("")
  return files
}

/** Files are read by everybody and written by nobody else; what was executable stays so. */
export function copyWithMode(from: string, to: string): void {
  mkdirSync(path.dirname(to), { recursive: true })
  copyFileSync(from, to)
}

/** The text of a package's licence; `null` when it carries none. */
export function licenceFile(folder: string): string | null {
  if (!existsSync(folder)) return null
  const names = readdirSync(folder).filter((name) => /^(LICEN[CS]E|COPYING)/i.test(name))
  const found = names.map((name) => path.join(folder, name)).filter((file) => statSync(file).isFile())
  return found.sort()[0] ?? null
}

function isFolderKept(name: string, parent: string, { platform, arch }: Target): boolean {
  if (FOLDERS_LEFT_OUT.has(name)) return false
  if (ARCH_FOLDER.test(name)) return name === arch
  // A word like `linux` may be an ordinary folder elsewhere; binaries lie in folders of these names.
  if (!/(^|\/)(bin|prebuilds|napi-v\d+)(\/|$)/.test(parent)) return true
  return !PLATFORM_FOLDER.test(name) || name === platform || name === `${platform}-${arch}`
}
