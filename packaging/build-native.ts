/**
 * Builds what is native against the headers that came with the Node running this script, so without a network: the addon,
 * and pkcs11js, whose own install script is not run. Run by `npm ci`.
 */
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const require = createRequire(import.meta.url)
const nodeGyp = require.resolve("node-gyp/bin/node-gyp.js")
const nodePrefix = path.resolve(process.execPath, process.platform === "win32" ? ".." : "../..")

const withTss = process.platform === "linux" && hasHeaders("tss2/tss2_esys.h", "tss2/tss2_tctildr.h")
build(path.join(root, "native"))
build(path.dirname(require.resolve("pkcs11js/package.json")))
console.log(`native addon built, ${withTss ? "with" : "without"} TPM (libtss2-dev)`)

function build(folder: string): void {
  const result = spawnSync(
    process.execPath,
    [nodeGyp, "configure", "build", `--nodedir=${nodePrefix}`, "--jobs=max", "--loglevel=error"],
    { cwd: folder, encoding: "utf8", env: { ...process.env, SEALWRIGHT_TSS: withTss ? "1" : "0" } },
  )
  if (result.status === 0) return
  process.stderr.write(`${result.stdout}${result.stderr}`)
  console.error(`${path.relative(root, folder)} did not build: it needs python3, make and a C++20 compiler.`)
  process.exit(1)
}

/** Whether the C++ compiler that node-gyp will use finds them. */
function hasHeaders(...names: readonly string[]): boolean {
  const source = names.map((name) => `#include <${name}>\n`).join("")
  const compiler = process.env["CXX"] ?? "c++"
  return (
    spawnSync(compiler, ["-E", "-x", "c++", "-"], { input: source, stdio: ["pipe", "ignore", "ignore"] })
      .status === 0
  )
}
