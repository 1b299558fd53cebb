/**
 * The import table of docs/ARCHITECTURE.md, enforced. Every source file must belong to a known area, and every import
 * must be one its area allows; anything unknown fails, so a new folder needs a decision here first.
 */
import { readFileSync, readdirSync } from "node:fs"
import { builtinModules } from "node:module"
import path from "node:path"
import { parseSync } from "oxc-parser"

interface Area {
  /** Folder, relative to the project; the longest match decides. */
  readonly folder: string
  /** Folders whose files may be imported, besides the area's own. */
  readonly areas: readonly string[]
  /** Packages that may be imported; "node:*" stands for every module of Node. */
  readonly packages: readonly string[]
}

const PURE = [
  "zod",
  "@scure/base",
  "@noble/post-quantum",
  "@peculiar/x509",
  "reflect-metadata",
  "node-forge",
  "@tufjs/models",
  "@tufjs/canonical-json",
]

const AREAS: readonly Area[] = [
  { folder: "main/contract", areas: [], packages: ["zod", "@orpc/contract", "@orpc/client", "@orpc/server"] },
  { folder: "main/core", areas: ["main/contract"], packages: ["node:crypto", ...PURE] },
  { folder: "main/services", areas: ["main/contract", "main/core"], packages: ["zod"] },
  {
    folder: "main/platform",
    areas: ["main/services", "main/core", "main/contract", "native/lib"],
    packages: [
      "node:*",
      "zod",
      "sodium-native",
      "pkcs11js",
      "@napi-rs/keyring",
      "@observablehq/plot",
      "linkedom",
      "onnxruntime-node",
    ],
  },
  {
    folder: "main/runtime",
    areas: ["main/contract", "main/core", "native/lib"],
    packages: ["node:*", "onnxruntime-node"],
  },
  {
    folder: "main/host",
    areas: ["main/services", "main/platform", "main/contract"],
    packages: ["node:*", "ws", "zod", "@orpc/server"],
  },
  {
    folder: "main/electron",
    areas: ["main/services", "main/platform", "main/contract"],
    packages: ["node:*", "electron", "zod", "@orpc/server"],
  },
  {
    folder: "main/cli",
    areas: ["main/services", "main/platform", "main/contract"],
    packages: ["node:*", "commander"],
  },
  {
    folder: "renderer",
    areas: ["main/contract"],
    packages: [
      "react",
      "react-dom",
      "@mantine/core",
      "@mantine/dropzone",
      "@mantine/hooks",
      "@mantine/modals",
      "@mantine/notifications",
      "@mantine/spotlight",
      "@tabler/icons-react",
      "@tanstack/react-query",
      "@tanstack/react-virtual",
      "@orpc/client",
      "uplot",
      "zod",
    ],
  },
  { folder: "native/lib", areas: ["main/contract"], packages: ["node:*"] },
  {
    folder: "packaging",
    areas: [],
    packages: [
      "node:*",
      "vite",
      "@vitejs/plugin-react",
      "oxc-parser",
      "electron-builder",
      "@electron/asar",
      "@electron/fuses",
    ],
  },
  {
    folder: "test",
    areas: ["main", "native/lib", "packaging"],
    packages: ["*"],
  },
]

const root = path.resolve(import.meta.dirname, "..")
const faults: string[] = []
let files = 0

for (const file of sourceFiles(["main", "renderer", "native", "packaging", "test"])) {
  files += 1
  const area = areaOf(file)
  if (area === undefined) {
    faults.push(`${file}: no area of the import table covers this folder`)
    continue
  }
  for (const specifier of importsOf(file)) checkImport(file, area, specifier)
}

if (faults.length > 0) {
  console.error(faults.join("\n"))
  console.error(`imports: ${faults.length} fault(s) in ${files} files`)
  process.exit(1)
}
console.log(`imports: ${files} files follow the table`)

function checkImport(file: string, area: Area, specifier: string): void {
  if (specifier.startsWith(".")) {
    const target = path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier))
    const targetArea = areaOf(target)
    const allowed = [area.folder, ...area.areas].some((folder) => isInside(target, folder))
    if (targetArea === undefined || !allowed) faults.push(`${file}: may not import ${target}`)
    return
  }
  const isNode = specifier.startsWith("node:") || builtinModules.includes(specifier)
  if (isNode && !specifier.startsWith("node:")) {
    faults.push(`${file}: write node:${specifier}`)
    return
  }
  const name = isNode ? specifier : packageName(specifier)
  const allowed =
    area.packages.includes("*") ||
    area.packages.includes(name) ||
    (isNode && area.packages.includes("node:*"))
  if (!allowed) faults.push(`${file}: may not import ${name}`)
}

function areaOf(file: string): Area | undefined {
  return AREAS.filter((area) => isInside(file, area.folder)).toSorted(
    (a, b) => b.folder.length - a.folder.length,
  )[0]
}

function isInside(file: string, folder: string): boolean {
  return file.startsWith(`${folder}/`)
}

function packageName(specifier: string): string {
  const parts = specifier.split("/")
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? specifier)
}

/** Static imports, re-exports, dynamic imports and `new URL("…ts", import.meta.url)` worker entries of one file. */
function importsOf(file: string): readonly string[] {
  const text = readFileSync(path.join(root, file), "utf8")
  const parsed = parseSync(file, text)
  if (parsed.errors.length > 0) {
    faults.push(`${file}: does not parse`)
    return []
  }
  const found: string[] = []
  for (const entry of parsed.module.staticImports) found.push(entry.moduleRequest.value)
  for (const entry of parsed.module.staticExports) {
    for (const item of entry.entries) if (item.moduleRequest) found.push(item.moduleRequest.value)
  }
  for (const entry of parsed.module.dynamicImports) {
    const literal = /^["']([^"']+)["']$/.exec(text.slice(entry.moduleRequest.start, entry.moduleRequest.end))
    if (literal?.[1] === undefined) faults.push(`${file}: an import() must name its module literally`)
    else found.push(literal[1])
  }
  for (const match of text.matchAll(/new URL\(\s*["'](\.[^"']+\.(?:ts|mjs))["']\s*,\s*import\.meta\.url/g)) {
    if (match[1] !== undefined) found.push(match[1])
  }
  return found
}

function sourceFiles(folders: readonly string[]): readonly string[] {
  const out: string[] = []
  for (const folder of folders) {
    let names: string[]
    try {
      names = readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
    } catch {
      continue // a top-level folder that does not exist yet
    }
    for (const name of names) {
      const file = path.posix.join(folder, name.split(path.sep).join("/"))
      if (
        /\.(ts|tsx|mts|mjs|js|cjs)$/.test(file) &&
        !file.includes("/node_modules/") &&
        !file.includes("/build/")
      )
        out.push(file)
    }
  }
  return out.sort()
}
