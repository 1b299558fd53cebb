/** Builds the Node-API addon against the headers that came with the Node running this script. Run by `npm ci`. */
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const nodeGyp = createRequire(import.meta.url).resolve("node-gyp/bin/node-gyp.js")
const nodePrefix = path.resolve(process.execPath, process.platform === "win32" ? ".." : "../..")

const result = spawnSync(
  process.execPath,
  [nodeGyp, "configure", "build", `--nodedir=${nodePrefix}`, "--jobs=max", "--loglevel=error"],
  { cwd: path.join(root, "native"), encoding: "utf8" },
)
if (result.status !== 0) {
  process.stderr.write(`${result.stdout}${result.stderr}`)
  console.error("The native addon did not build: it needs python3, make and a C++20 compiler.")
  process.exit(1)
}
console.log("native addon built")
