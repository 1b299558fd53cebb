/** `npm start` takes Electron where it is, else the browser, and says which and why. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { findElectron } from "../../packaging/release/electron-program.ts"
import { ROOT, temporaryFolder } from "../support/workspace.ts"

const START = path.join(ROOT, "packaging", "start.ts")

/** A distribution folder whose program says what it was started with, and ends with 3. */
function distribution(): string {
  const folder = temporaryFolder()
  writeFileSync(path.join(folder, "electron"), `#!/bin/sh\nprintf 'given: %s\\n' "$@"\nexit 3\n`, {
    mode: 0o755,
  })
  return folder
}

test("opens the desktop window where Electron is, hands on files, and ends as it does", () => {
  const { status, stdout } = spawnSync(process.execPath, [START, "/models/a.seal"], {
    env: { ...process.env, ELECTRON_DIST: distribution() },
    encoding: "utf8",
  })
  const [said, ...given] = stdout.trim().split("\n")
  expect(said).toBe("Opening the desktop window: ELECTRON_DIST holds Electron.")
  // Chromium has no sandbox for root; everybody else keeps it.
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : []
  expect(given).toEqual([...sandbox, ROOT, "/models/a.seal"].map((each) => `given: ${each}`))
  expect(status).toBe(3)
})

test(
  "opens the browser where it is not, says why, and ends with its signal",
  { timeout: 60_000 },
  async () => {
    const folder = temporaryFolder()
    const tools = path.join(folder, "tools")
    mkdirSync(tools)
    writeFileSync(path.join(tools, "xdg-open"), `#!/bin/sh\n: > ${folder}/opened\n`, { mode: 0o755 })
    const child = spawn(process.execPath, [START], {
      env: { ...process.env, ELECTRON_DIST: folder, SEALWRIGHT_HOME: path.join(folder, "home"), PATH: tools },
      stdio: ["ignore", "pipe", "inherit"],
    })
    const exited = once(child, "exit")
    onTestFinished(() => void child.kill("SIGKILL"))
    let said = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text))
    await expect.poll(() => existsSync(path.join(folder, "opened")), { timeout: 30_000 }).toBe(true)
    expect(said).toContain("Opening the window in your browser, from a host on 127.0.0.1: ELECTRON_DIST (")
    expect(said).toContain(") holds no electron.")
    child.kill("SIGTERM")
    expect((await exited)[0]).toBe(0)
  },
)

test("finds the program npm downloaded, unless ELECTRON_DIST names another", () => {
  const root = temporaryFolder()
  expect(findElectron(root, {})).toMatchObject({ kind: "missing" })
  const installed = path.join(root, "node_modules", "electron", "dist")
  mkdirSync(installed, { recursive: true })
  writeFileSync(path.join(installed, "electron"), "")
  expect(findElectron(root, {})).toMatchObject({ kind: "found", folder: installed })
  const named = distribution()
  expect(findElectron(root, { ELECTRON_DIST: named })).toMatchObject({ kind: "found", folder: named })
  expect(findElectron(root, { ELECTRON_DIST: root })).toMatchObject({ kind: "missing" })
})
