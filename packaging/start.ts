/**
 * `npm start`: the window. In Electron when its program is here, else in the browser, from the loopback host: which one and why is
 * the first line it prints. Further arguments are files to open, or options of `sealwright serve`.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import path from "node:path"
import { findElectron } from "./release/electron-program.ts"

const root = path.resolve(import.meta.dirname, "..")
const args = process.argv.slice(2)

build("dist/renderer/index.html", [
  "node_modules/vite/bin/vite.js",
  "build",
  "--config",
  "packaging/vite.config.ts",
  "--logLevel",
  "warn",
])
const electron = findElectron(root)
if (electron.kind === "found") {
  build("dist/shell/main.js", ["packaging/build-shell.ts"])
  console.log(`Opening the desktop window: ${electron.reason}.`)
  // Run as root, as in a container, Chromium refuses its own sandbox.
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : []
  stayWith(electron.program, [...sandbox, root, ...args])
} else {
  console.log(`Opening the window in your browser, from a host on 127.0.0.1: ${electron.reason}.`)
  stayWith(process.execPath, [path.join(root, "main", "cli", "bin.mjs"), "serve", "--open", ...args])
}

/** What a checkout does not hold is built when it is first needed. */
function build(product: string, command: readonly string[]): void {
  if (existsSync(path.join(root, product))) return
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: "inherit" })
  if (status !== 0) process.exit(status ?? 1)
}

function stayWith(program: string, given: readonly string[]): void {
  const child = spawn(program, given, { stdio: "inherit" })
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal))
  child.on("error", (error) => {
    console.error(`${path.basename(program)} does not start: ${error.message}`)
    process.exit(1)
  })
  child.on("exit", (code) => process.exit(code ?? 1))
}
