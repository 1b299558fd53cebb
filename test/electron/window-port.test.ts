/** The window's way to the engine on the desktop: the real preload, the real shell and a real engine; only Electron stands in. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import type { MessagePort } from "node:worker_threads"
import { createORPCClient } from "@orpc/client"
import { RPCLink } from "@orpc/client/message-port"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { asAppErrors, followJob } from "../../main/contract/client.ts"
import { PORT_MESSAGE, type DesktopBridge, type OpenedFile } from "../../main/contract/desktop.ts"
import type { FileRef } from "../../main/contract/schema/base.ts"
import type { WindowClient } from "../../main/contract/window.ts"
import { startShell } from "../../main/electron/shell.ts"
import { app, exposed, paths, resetWorld, world } from "../support/fake-electron.ts"
import { engines } from "../support/recorded-engines.ts"
import { MODELS, sharedFolder } from "../support/workspace.ts"

vi.mock("electron", async () => import("../support/fake-electron.ts"))
vi.mock("../../main/platform/engine-process.ts", async (original) =>
  (await import("../support/recorded-engines.ts")).recordEngines(original),
)

const folder = sharedFolder()
const model = path.join(folder, "digits.onnx")
let bridge: DesktopBridge
const openedFiles: OpenedFile[] = []

beforeAll(async () => {
  resetWorld(folder)
  vi.stubEnv("SEALWRIGHT_HOME", path.join(folder, "workspace"))
  copyFileSync(path.join(MODELS, "digits-mlp.onnx"), model)
  vi.stubGlobal("window", { postMessage: (...args: readonly unknown[]) => posted.push(args) })
  await import("../../main/electron/preload.ts")
  bridge = exposed.get("sealwright") as DesktopBridge
  bridge.onOpened((files) => openedFiles.push(...files))
  await startShell()
})
afterAll(async () => {
  world.answer = 1
  app.quit()
  await vi.waitFor(() => expect(world.hasQuit).toBe(true), 10_000)
  expect(await engines.at(-1)?.exited).toBe(0)
})

const posted: (readonly unknown[])[] = []

/** A client as the window makes it, over the port that arrives for it. */
function connect(): { readonly client: WindowClient; readonly port: MessagePort } {
  bridge.requestPort()
  const [message, , ports] = posted.at(-1) ?? []
  expect(message).toBe(PORT_MESSAGE)
  const [port] = ports as [MessagePort] // the one the shell made
  port.start()
  const link = new RPCLink({ port, interceptors: [asAppErrors] })
  return { client: createORPCClient(link), port }
}

async function refer(file: string): Promise<FileRef> {
  const dropped = new File([], path.basename(file))
  paths.set(dropped, file)
  const answer = await bridge.refer(dropped)
  if (answer.kind === "refused") throw new Error(answer.code)
  return answer.file
}

test("the page gets five functions and nothing of Electron", () => {
  expect([...exposed.keys()]).toEqual(["sealwright"])
  expect(Object.keys(bridge).sort()).toEqual(["notify", "onOpened", "refer", "requestPort", "showProgress"])
})

test("a dropped file is known by reference alone, and a file that a script made has none", async () => {
  const { client, port } = connect()
  expect(await client.shell.about()).toEqual({ kind: "desktop" })
  const file = await refer(model)
  expect(file).not.toContain("digits")
  expect(await client.inspect({ file })).toMatchObject({ kind: "model", name: "digits.onnx" })
  expect(await bridge.refer(new File(["x"], "digits.onnx"))).toMatchObject({ code: "FILE_NOT_FOUND" })
  port.close()
})

test("the window cannot reach what is for hosts alone, and sends no bytes", async () => {
  const { client, port } = connect()
  const asHost = client as unknown as { files: { refer(input: { path: string }): Promise<unknown> } }
  await expect(asHost.files.refer({ path: "/etc/passwd" })).rejects.toThrow()
  await expect(client.shell.upload({ files: [{ name: "x", bytes: 1 }] })).toFailWithCode("USAGE")
  port.close()
})

test("results lie beside the model; what comes with the program leaves them to the documents", async () => {
  const { client, port } = connect()
  const beside = await client.shell.newOutput({
    name: "digits.seal",
    kind: "package",
    from: await refer(model),
  })
  writeFileSync(path.join(folder, "report.html"), "<!doctype html>")
  await client.shell.fetch({ file: await refer(path.join(folder, "report.html")), inside: null, how: "view" })
  expect(world.opened).toEqual([path.join(folder, "report.html")])
  await expect(client.shell.fetch({ file: await refer(model), inside: null, how: "view" })).toFailWithCode(
    "USAGE",
  )
  await expect(client.shell.fetch({ file: beside.file, inside: null, how: "reveal" })).toFailWithCode(
    "FILE_NOT_FOUND",
  )
  await expect(client.shell.fetch({ file: beside.file, inside: "../x", how: "view" })).toFailWithCode(
    "FILE_NAME_UNSAFE",
  )
  await client.shell.fetch({ file: await refer(model), inside: null, how: "reveal" })
  expect(world.shown).toEqual([model])
  world.savePath = path.join(folder, "copy.onnx")
  await client.shell.fetch({ file: await refer(model), inside: null, how: "save" })
  expect(readFileSync(world.savePath)).toEqual(readFileSync(model))
  const { model: sample } = await client.library.sample()
  const made = await client.shell.newOutput({ name: "sample.seal", kind: "package", from: sample })
  expect(made.name).toBe("sample.seal")
  expect(existsSync(path.join(world.documents, "Sealwright"))).toBe(true)
  port.close()
})

test(
  "an engine that dies in a job says so to its window, which goes on with the next one",
  { timeout: 60_000 },
  async () => {
    const { client, port } = connect()
    const states: string[] = []
    void (async () => {
      for await (const { state, restarts } of await client.shell.watch()) states.push(`${state} ${restarts}`)
    })().catch(() => {})
    const file = await refer(model)
    mkdirSync(path.join(folder, "out"))
    const out = await refer(path.join(folder, "out"))
    let isKilled = false
    const job = followJob(await client.quickstart({ out: { file: out, replace: true } }), () => {
      if (!isKilled) process.kill(engines.at(-1)?.pid ?? 0, "SIGKILL")
      isKilled = true
    })
    await expect(job).toFailWithCode("ENGINE_GONE")
    await vi.waitFor(() => expect(states.at(-1)).toBe("running 1"), 20_000)
    expect(engines).toHaveLength(2)
    // A reference outlives the engine that gave it.
    expect(await client.inspect({ file })).toMatchObject({ kind: "model", name: "digits.onnx" })
    port.close()
  },
)

test("a window that goes away takes its jobs with it", { timeout: 60_000 }, async () => {
  const { client, port } = connect()
  const out = await refer(path.join(folder, "left"))
  const events = await client.quickstart({ out: { file: out, replace: true } })
  await events[Symbol.asyncIterator]().next()
  port.close()
  const later = connect()
  await vi.waitFor(async () => {
    const jobs = await later.client.jobs.list()
    expect(jobs.map(({ state }) => state)).toContain("cancelled")
    expect(jobs.map(({ state }) => state)).not.toContain("running")
  }, 20_000)
  later.port.close()
})

test("files opened elsewhere arrive as references", async () => {
  connect().port.close()
  app.emit("second-instance", {}, ["sealwright", "digits.onnx"], folder)
  await vi.waitFor(() => expect(openedFiles).toHaveLength(1))
  expect(openedFiles[0]).toMatchObject({ name: "digits.onnx" })
  const { client, port } = connect()
  const [opened] = openedFiles
  if (opened === undefined) throw new Error("nothing arrived")
  expect(await client.inspect({ file: opened.file })).toMatchObject({
    kind: "model",
  })
  port.close()
})
