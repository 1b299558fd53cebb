/**
 * `npm run build:shell`: the desktop shell into dist/shell. Two files and nothing beside them: `main.js`, and the preload, which
 * a sandbox wants as one CommonJS script.
 */
import { readFileSync } from "node:fs"
import { builtinModules } from "node:module"
import path from "node:path"
import { build } from "vite"
import { noteBundledPackages } from "./release/bundled-packages.ts"

const root = path.resolve(import.meta.dirname, "..")
const folder = path.join(root, "main", "electron")

await bundle("main.ts", "es", "main.js")
await bundle("preload.ts", "cjs", "preload.cjs")
checkPreload()

async function bundle(entry: string, format: "es" | "cjs", name: string): Promise<void> {
  await build({
    configFile: false,
    root,
    logLevel: "warn",
    cacheDir: path.join(root, "node_modules", ".cache", "vite"),
    plugins:
      format === "es" ? [noteBundledPackages(root, path.join(root, "dist", "shell-packages.json"))] : [],
    // Everything of ours and of packages goes in; Node's and Electron's own modules stay outside.
    ssr: { noExternal: true, external: ["electron"] },
    build: {
      ssr: path.join(folder, entry),
      outDir: path.join(root, "dist", "shell"),
      emptyOutDir: format === "es",
      minify: false,
      target: "node24",
      reportCompressedSize: false,
      rolldownOptions: {
        external: ["electron", /^node:/, ...builtinModules],
        output: { format, entryFileNames: name, codeSplitting: false },
      },
    },
  })
}

/** A sandboxed preload may require Electron's part for renderers and nothing else. */
function checkPreload(): void {
  const text = readFileSync(path.join(root, "dist", "shell", "preload.cjs"), "utf8")
  const required = [...text.matchAll(/require\((.*?)\)/g)].map(([, name]) => name)
  if (required.length === 1 && required[0] === '"electron"') return
  console.error(`the preload requires ${required.join(", ")}`)
  process.exit(1)
}
