/** `sealwright serve` as a process: what it prints and opens, what it leaves, and what another account of the computer gets of it. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import path from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { WebSocket } from "ws"
import { cli, ROOT, temporaryFolder } from "../support/workspace.ts"

/** The host's page is enough for these tests, and it is built before they run. */
const LINK = /http:\/\/127\.0\.0\.1:(\d+)\/#token=([\w-]{43})/

interface Served {
  readonly child: ChildProcess
  readonly workspace: string
  /** What the stand-in for the desktop's opener was given. */
  readonly opened: string
  stdout(): string
  stderr(): string
  /** Ends it as Ctrl-C does; its exit status. */
  end(): Promise<number | null>
}

/** `hasOpener`: whether this desktop knows what to do with a page. */
function serve(options: { readonly hasOpener: boolean; readonly args: readonly string[] }): Served {
  const folder = temporaryFolder()
  const [tools, workspace, opened] = ["tools", "workspace", "opened"].map((name) =>
    path.join(folder, name),
  ) as [string, string, string] // as many as names
  mkdirSync(tools)
  if (options.hasOpener)
    writeFileSync(
      path.join(tools, "xdg-open"),
      `#!/bin/sh\nPATH=/usr/bin:/bin\nprintf '%s\\n' "$@" > ${opened}.partial\nmv ${opened}.partial ${opened}\n`,
      { mode: 0o755 },
    )
  const child = spawn(
    process.execPath,
    [path.join(ROOT, "main/cli/bin.mjs"), "serve", "--workspace", workspace, ...options.args],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, PATH: tools } },
  )
  const said = { stdout: "", stderr: "" }
  for (const name of ["stdout", "stderr"] as const)
    child[name]?.setEncoding("utf8").on("data", (text: string) => (said[name] += text))
  const exited = once(child, "exit")
  let isEnded = false
  const end = async () => {
    if (!isEnded) child.kill("SIGINT")
    isEnded = true
    const [status] = (await exited) as [number | null]
    return status
  }
  onTestFinished(async () => void (await end()))
  return { child, workspace, opened, stdout: () => said.stdout, stderr: () => said.stderr, end }
}

const LATER = { timeout: 30_000 }

/** What the host says to a first message: a session, or the code it closes with. */
async function enter(port: string, token: string): Promise<string> {
  const origin = `http://127.0.0.1:${port}`
  const socket = new WebSocket(`ws://127.0.0.1:${port}/contract`, { origin })
  return new Promise((resolve, reject) => {
    socket.once("open", () => socket.send(JSON.stringify({ token })))
    socket.once("message", (data: Buffer) => {
      resolve(data.toString())
      socket.terminate()
    })
    socket.once("close", (code) => resolve(String(code)))
    socket.once("error", reject)
  })
}

test("opens a page of its own that leads on, so that no process has the token among its arguments", async () => {
  const served = serve({ hasOpener: true, args: ["--open"] })
  await expect.poll(() => existsSync(served.opened), LATER).toBe(true)
  const [page = "", ...more] = readFileSync(served.opened, "utf8").trim().split("\n")
  expect(more).toEqual([])
  expect(path.dirname(page)).toBe(served.workspace)
  expect(statSync(page).mode & 0o777).toBe(0o600)
  expect(statSync(served.workspace).mode & 0o777).toBe(0o700)
  const [, port = "", token = ""] = LINK.exec(readFileSync(page, "utf8")) ?? []
  expect(token).not.toBe("")
  expect(execFileSync("ps", ["axeww", "-o", "args"], { encoding: "utf8" })).not.toContain(token)
  expect(served.stdout() + served.stderr()).not.toContain(token)
  expect(await enter(port, token)).toMatch(/^\{"session":"[\w-]{43}"\}$/)
  // The link was used: the page is good for nothing, and the next window has a link of its own.
  expect(await enter(port, token)).toBe("4401")
  await expect.poll(() => LINK.exec(served.stdout())?.[2], LATER).toMatch(/^[\w-]{43}$/)
  expect(served.stdout()).not.toContain(token)
  expect(await served.end()).toBe(0)
  expect(existsSync(page)).toBe(false)
  expect(readdirSync(path.join(served.workspace, "uploads"))).toEqual([])
})

test("names the page where nothing opens it, and says why it cannot have the port it was told to", async () => {
  const served = serve({ hasOpener: false, args: ["--open"] })
  await expect
    .poll(() => served.stderr(), LATER)
    .toMatch(/no browser could be started.*open-[0-9a-f]{12}\.html/)
  expect(await served.end()).toBe(0)
  const taken = createServer().listen(0, "127.0.0.1")
  onTestFinished(() => void taken.close())
  await once(taken, "listening")
  const address = taken.address()
  const port = typeof address === "object" ? String(address?.port) : ""
  const refused = await cli(["serve", "--port", port, "--workspace", temporaryFolder()])
  expect(refused).toMatchObject({ status: 9, stdout: "" })
  expect(refused.stderr).toContain("PORT_TAKEN")
})

test("opens although a record of its workspace is damaged, which is shown where it is asked for", async () => {
  const served = serve({ hasOpener: false, args: [] })
  await expect.poll(() => served.stdout(), LATER).toMatch(LINK)
  await served.end()
  mkdirSync(path.join(served.workspace, "library"), { recursive: true })
  writeFileSync(path.join(served.workspace, "library", `${"0".repeat(32)}.json`), "{broken")
  const again = serve({ hasOpener: false, args: ["--workspace", served.workspace] })
  await expect.poll(() => again.stdout(), LATER).toMatch(LINK)
})

/** Runs as another account, which may look at everything that account may: tries what is listed and prints what it got. */
const STRANGER = `
const { readFileSync, readdirSync } = require("node:fs")
const { port, pid, secrets, ws } = JSON.parse(process.argv[1])
const attempt = (act) => { try { return act() } catch (error) { return error.code } }
const got = Object.fromEntries(secrets.map((file) => [file, attempt(() => readFileSync(file, "latin1"))]))
got.args = readFileSync("/proc/" + pid + "/cmdline", "latin1")
const { WebSocket } = require(ws)
const socket = new WebSocket("ws://127.0.0.1:" + port + "/contract", { origin: "http://127.0.0.1:" + port })
socket.on("open", () => socket.send(JSON.stringify({ token: "A".repeat(43) })))
socket.on("close", async (code) => {
  got.entered = code
  got.page = await (await fetch("http://127.0.0.1:" + port + "/")).text()
  process.stdout.write(JSON.stringify(got))
})`

test.skipIf(process.getuid?.() !== 0)(
  "gives another account of this computer its page and no way in",
  async () => {
    const served = serve({ hasOpener: true, args: ["--open"] })
    await expect.poll(() => existsSync(served.opened), LATER).toBe(true)
    // Only what the host itself sees to is between them: the folders above let everybody through.
    chmodSync(path.dirname(served.workspace), 0o755)
    const page = readFileSync(served.opened, "utf8").trim()
    const [, port = "", token = ""] = LINK.exec(readFileSync(page, "utf8")) ?? []
    const host = hostOf(served.child.pid ?? 0)
    const secrets = [
      page,
      path.join(served.workspace, "uploads"),
      `/proc/${host}/environ`,
      `/proc/${host}/mem`,
    ]
    const asked = JSON.stringify({ port, pid: host, secrets, ws: path.join(ROOT, "node_modules/ws") })
    const answer = execFileSync(
      "setpriv",
      ["--reuid=65534", "--regid=65534", "--clear-groups", process.execPath, "-e", STRANGER, asked],
      { encoding: "utf8", cwd: "/" },
    )
    expect(answer).not.toContain(token)
    const got = JSON.parse(answer) as Readonly<Record<string, string | number>> // what the script above prints
    for (const secret of secrets) expect(got[secret], secret).toBe("EACCES")
    expect(got["entered"]).toBe(4401)
    expect(got["page"]).toContain("<!doctype html>")
  },
)

/** The host among the command's children. */
function hostOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")
  return Number(
    children.find((child) => readFileSync(`/proc/${child}/cmdline`, "latin1").includes("serve.ts")),
  )
}
