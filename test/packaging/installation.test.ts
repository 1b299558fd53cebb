/** The folder that is shipped: what is in it, that it runs where nothing else is, and that it comes out the same twice. */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { faultsOfInstallation } from "../../packaging/release/check-installation.ts"
import { formatOf } from "../../packaging/release/elf.ts"
import { BOM, LICENCES, makeInstallation } from "../../packaging/release/installation.ts"
import { run } from "../../packaging/release/tarball.ts"
import { MODELS, ROOT, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const first = path.join(folder, "first", "sealwright")
/** The archive's content, in a place that is nobody's. */
const place = path.join(folder, "somewhere else")
const EPOCH = 1_700_000_000

function makeArchive(to: string): string {
  makeInstallation({ root: ROOT, to, withPages: true, epoch: EPOCH })
  const archive = `${to}.tar`
  run("tar", [
    "--create",
    "--file",
    archive,
    "--sort=name",
    `--mtime=@${EPOCH}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--directory",
    path.dirname(to),
    path.basename(to),
  ])
  return archive
}

/** As a user has it: no variable, no other Node, nothing of this checkout. */
function sealwright(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(path.join(place, "sealwright", "bin", "sealwright"), args, {
    env: { PATH: "/usr/bin:/bin", SEALWRIGHT_HOME: path.join(folder, "home") },
    cwd: place,
    encoding: "utf8",
  })
  return { status, stdout, stderr }
}

let archive = ""
beforeAll(() => {
  archive = makeArchive(first)
  mkdirSync(place)
  run("tar", ["--extract", "--file", archive, "--directory", place])
}, 120_000)

test("may be shipped, and every way of being wrong is seen", { timeout: 120_000 }, () => {
  expect(faultsOfInstallation(first, ROOT)).toEqual([])
  const wrong = (file: string, bytes: string | Uint8Array) => {
    mkdirSync(path.dirname(path.join(first, file)), { recursive: true })
    writeFileSync(path.join(first, file), bytes, { mode: 0o644 })
  }
  wrong("main/left.ts", "")
  wrong("node_modules/vitest/index.js", "")
  wrong("main/where.js", `// ${ROOT}/main`)
  wrong("main/foreign.bin", Buffer.concat([Buffer.from("MZ"), Buffer.alloc(100)]))
  wrong("node_modules/zod/broken.node", "not a library")
  rmSync(path.join(first, "main", "runtime", "child.js"))
  rmSync(path.join(first, "node_modules", "ws"), { recursive: true })
  chmodSync(path.join(first, "main", "cli", "bin.mjs"), 0o666)
  writeFileSync(
    path.join(first, LICENCES),
    readFileSync(path.join(first, LICENCES), "utf8").replace(/^zod .*$/m, ""),
  )
  const faults = faultsOfInstallation(first, ROOT).map((fault) => fault.replace(/: .*/s, ""))
  expect(faults.sort()).toEqual(
    [
      "main/left.ts does not belong in a product",
      "the development package vitest is in it",
      "main/where.js names the folder it was built in",
      "main/foreign.bin is a program for another system",
      "node_modules/zod/broken.node does not load",
      "main/runtime/child.js is missing",
      `node_modules/ws is in ${BOM} and nowhere else`,
      `node_modules/vitest is not in ${BOM}`,
      "main/cli/bin.mjs can be written by others",
      `the licence of zod is not in ${LICENCES}`,
    ].sort(),
  )
})

test("comes out the same, byte for byte, when it is made again elsewhere", { timeout: 120_000 }, () => {
  const digest = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex")
  expect(digest(makeArchive(path.join(folder, "again", "sealwright")))).toBe(digest(archive))
})

describe("unpacked in an empty place", { timeout: 120_000 }, () => {
  test("tells its version, and finds all its parts", () => {
    expect(sealwright("--version").stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/)
    const { status, stdout } = sealwright("doctor", "--json")
    expect(status).toBe(0)
    const { checks } = JSON.parse(stdout) as {
      readonly checks: readonly { readonly id: string; readonly result: string }[]
    }
    for (const id of ["node", "cipher", "native", "inference"])
      expect(
        checks.find((check) => check.id === id),
        id,
      ).toMatchObject({ result: "ok" })
  })

  test("protects, verifies and runs a model", () => {
    copyFileSync(path.join(MODELS, "digits-mlp.onnx"), path.join(place, "model.onnx"))
    expect(sealwright("keys", "create", "release-1").status).toBe(0)
    expect(sealwright("device", "add", "press-07", "--software").status).toBe(0)
    const made = sealwright("protect", "model.onnx", "--device", "press-07", "--no-mark", "-o", "model.seal")
    expect(made.stderr).not.toContain("sealwright:")
    expect(made.status).toBe(0)
    expect(sealwright("verify", "model.seal", "--device", "press-07").status).toBe(0)
    expect(sealwright("open", "model.seal", "--device", "press-07", "-o", "opened").status).toBe(0)
  })

  test("names its parts and their licences, and holds no program of another system", () => {
    const bom = JSON.parse(readFileSync(path.join(place, "sealwright", BOM), "utf8")) as {
      readonly specVersion: string
      readonly components: readonly { readonly name: string; readonly type: string }[]
    }
    expect(bom.specVersion).toBe("1.6")
    const names = bom.components.map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining([
        "node",
        "onnxruntime-node",
        "react",
        "zod",
        "native/build/Release/sealwright.node",
      ]),
    )
    expect(names).not.toContain("vitest")
    expect(
      existsSync(
        path.join(place, "sealwright", "node_modules", "onnxruntime-node", "bin", "napi-v6", "win32"),
      ),
    ).toBe(false)
    expect(formatOf(readFileSync(path.join(place, "sealwright", "bin", "node")))).toEqual({
      kind: "elf",
      arch: process.arch,
    })
  })
})
