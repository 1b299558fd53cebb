/** Looks at the finished folder as a stranger would: what is in it, whether it runs, and whether its papers say the same. */
import { spawnSync } from "node:child_process"
import { lstatSync, readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { formatOf } from "./elf.ts"
import { BOM, LICENCES, nativeFiles } from "./installation.ts"

/** Packages that make or test the product and have no place in it. */
const DEVELOPMENT = [
  "typescript",
  "vite",
  "vitest",
  "electron",
  "electron-builder",
  "oxlint",
  "prettier",
  "knip",
  "node-gyp",
  "playwright",
]
const FORBIDDEN =
  /\.(ts|tsx|mts|cts|map|cc|c|h|gyp|o|a|log|partial)$|(^|\/)(test|tests|\.git[^/]*|\.cache|\.npmrc)(\/|$)/
const NEEDED = [
  "bin/sealwright",
  "main/cli/bin.mjs",
  "main/host/stdio.js",
  "main/host/serve.js",
  "main/runtime/child.js",
  "main/platform/payload/worker.js",
  "main/platform/keys/pkcs11/host.js",
  "native/build/Release/sealwright.node",
  "native/build/Release/libsealheap.node",
  "native/build/Release/sealwright-runtime",
  "packaging/sample/fashion-cnn.onnx",
  "LICENSE",
]

interface Bom {
  readonly components: readonly {
    readonly type: string
    readonly name: string
    readonly version?: string
    readonly licenses?: readonly { readonly expression: string }[]
    readonly properties?: readonly { readonly value: string }[]
  }[]
}

/** Everything that is wrong, a sentence each; none when the folder may be shipped. `root`: the checkout it was made from. */
export function faultsOfInstallation(folder: string, root: string): readonly string[] {
  const files = listFiles(folder)
  return [
    ...files
      .filter((file) => FORBIDDEN.test(file) || (file.endsWith(".md") && !/LICEN[CS]E[^/]*\.md$/i.test(file)))
      .map((file) => `${file} does not belong in a product`),
    ...NEEDED.filter((file) => !files.includes(file)).map((file) => `${file} is missing`),
    ...DEVELOPMENT.filter((name) => files.some((file) => file.startsWith(`node_modules/${name}/`))).map(
      (name) => `the development package ${name} is in it`,
    ),
    ...files.flatMap((file) => faultsOfFile(folder, file, root)),
    ...faultsOfNatives(folder),
    ...faultsOfPapers(folder, files),
  ]
}

function faultsOfFile(folder: string, file: string, root: string): readonly string[] {
  const stats = lstatSync(path.join(folder, file))
  if (!stats.isFile()) return [`${file} is no regular file`]
  const bytes = readFileSync(path.join(folder, file))
  const format = formatOf(bytes)
  const isForeign =
    process.platform === "linux" && format !== null && (format.kind !== "elf" || format.arch !== process.arch)
  return [
    ...((stats.mode & 0o022) === 0 ? [] : [`${file} can be written by others`]),
    ...(isForeign ? [`${file} is a program for another system`] : []),
    ...(bytes.includes(root) ? [`${file} names the folder it was built in`] : []),
  ]
}

/** Every addon is loaded by the Node of the folder, with nothing of this process around it. */
function faultsOfNatives(folder: string): readonly string[] {
  const addons = nativeFiles(folder).filter(
    (file) => file.endsWith(".node") && !file.endsWith("libsealheap.node"),
  )
  const node = path.join(folder, "bin", process.platform === "win32" ? "node.exe" : "node")
  return addons.flatMap((file) => {
    const { status, stderr } = spawnSync(node, ["-e", "require(process.argv[1])", path.join(folder, file)], {
      env: {},
      encoding: "utf8",
    })
    return status === 0 ? [] : [`${file} does not load: ${stderr.trim().split("\n").at(-1) ?? ""}`]
  })
}

/** The bill of materials names each package that is there, no other, and each has a licence whose text is there. */
function faultsOfPapers(folder: string, files: readonly string[]): readonly string[] {
  const bom = JSON.parse(readFileSync(path.join(folder, BOM), "utf8")) as Bom // ours
  const licences = readFileSync(path.join(folder, LICENCES), "utf8")
  const listed = new Set(
    bom.components.flatMap(({ properties = [] }) => properties.map(({ value }) => value)),
  )
  const there = new Set(
    files.flatMap((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []),
  )
  return [
    ...[...there].filter((place) => !listed.has(place)).map((place) => `${place} is not in ${BOM}`),
    ...[...listed]
      .filter((place) => place.startsWith("node_modules/") && !there.has(place))
      .map((place) => `${place} is in ${BOM} and nowhere else`),
    ...bom.components
      .filter(
        ({ type, licenses = [] }) => type !== "file" && licenses.every(({ expression }) => expression === ""),
      )
      .map(({ name }) => `${name} has no licence in ${BOM}`),
    ...bom.components
      .filter(({ type, name, version = "" }) => type !== "file" && !licences.includes(`${name} ${version} (`))
      .map(({ name }) => `the licence of ${name} is not in ${LICENCES}`),
  ]
}

function listFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
}
