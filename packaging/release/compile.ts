/** Our own sources as JavaScript, file by file in the same tree, so that what runs installed is what runs in a checkout. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import path from "node:path"
import { parseSync } from "oxc-parser"

const SOURCES = ["main", "native/lib"]
/** A bundle of its own (packaging/build-shell.ts). */
const SHELL = path.join("main", "electron")

/** Compiles `main` and `native/lib` below `to`: types taken out by the very Node that runs them in a checkout, `.ts` renamed. */
export function compileSources(root: string, to: string): void {
  for (const folder of SOURCES) {
    for (const name of readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })) {
      const file = path.join(folder, name)
      if (file.startsWith(SHELL) || !/\.m?[jt]s$/.test(file) || file.endsWith(".d.ts")) continue
      const source = readFileSync(path.join(root, file), "utf8")
      const isTyped = file.endsWith(".ts")
      const target = path.join(to, isTyped ? file.replace(/\.ts$/, ".js") : file)
      mkdirSync(path.dirname(target), { recursive: true })
      writeFileSync(target, renameImports(target, isTyped ? stripTypeScriptTypes(source) : source))
    }
  }
}

/** Relative imports of `.ts` files, static and dynamic, as the `.js` they have become. */
function renameImports(file: string, code: string): string {
  const parsed = parseSync(file, code)
  const [error] = parsed.errors
  if (error !== undefined) throw new Error(`${file} does not parse: ${error.message}`)
  const requests = [
    ...parsed.module.staticImports.map(({ moduleRequest }) => moduleRequest),
    ...parsed.module.staticExports.flatMap(({ entries }) =>
      entries.map(({ moduleRequest }) => moduleRequest),
    ),
    ...parsed.module.dynamicImports.map(({ moduleRequest }) => moduleRequest),
  ]
  const ends = new Set<number>()
  for (const request of requests) {
    if (request === null || request === undefined) continue
    if (/^["']\.{1,2}\/.*\.ts["']$/.test(code.slice(request.start, request.end))) ends.add(request.end)
  }
  let renamed = code
  for (const end of [...ends].sort((a, b) => b - a))
    renamed = `${renamed.slice(0, end - 4)}.js${renamed.slice(end - 1)}`
  return renamed
}
