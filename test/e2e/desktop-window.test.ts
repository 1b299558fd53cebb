/** The window as the desktop program shows it: no socket, no upload, results beside their model. */
import { copyFileSync, existsSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { followJob } from "../../main/contract/client.ts"
import { localEngine } from "../../main/contract/server.ts"
import { startShell } from "../../main/electron/shell.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { createEngine } from "../../main/services/engine.ts"
import { openDesktopPage, type DesktopPage } from "../support/desktop-page.ts"
import { app, resetWorld, world } from "../support/fake-electron.ts"
import { engines } from "../support/recorded-engines.ts"
import { MODELS, sharedFolder } from "../support/workspace.ts"

vi.mock("electron", async () => import("../support/fake-electron.ts"))
vi.mock("../../main/platform/engine-process.ts", async (original) =>
  (await import("../support/recorded-engines.ts")).recordEngines(original),
)

const folder = sharedFolder()
const model = path.join(folder, "cnn.onnx")
const seal = path.join(folder, "cnn.seal")
let desktop: DesktopPage

beforeAll(async () => {
  resetWorld(folder)
  vi.stubEnv("SEALWRIGHT_HOME", path.join(folder, "workspace"))
  copyFileSync(path.join(MODELS, "fashion-cnn.onnx"), model)
  await makePackage()
  await startShell()
  desktop = await openDesktopPage(
    new Map(["cnn.onnx", "cnn.seal"].map((name) => [name, path.join(folder, name)])),
  )
})
async function makePackage(): Promise<void> {
  const { ports, close } = localPorts(path.join(folder, "workspace"))
  const engine = localEngine(createEngine(ports))
  await engine.keys.create({ name: "release-1", purpose: "signing" })
  await engine.devices.add({ name: "press-07", key: { kind: "software" } })
  const events = await engine.protect({
    model: await engine.files.refer({ path: model }),
    devices: ["press-07"],
    signingKey: "release-1",
    escrow: [],
    mode: "individual",
    mark: null,
    output: { file: await engine.files.refer({ path: seal }), replace: false },
  })
  await followJob(events)
  await close()
}

afterAll(async () => {
  await desktop.close()
  world.answer = 1
  app.quit()
  await vi.waitFor(() => expect(world.hasQuit).toBe(true), 10_000)
})

test("takes a dropped model where it lies", async () => {
  const { page, faults, drop } = desktop
  await drop(model)
  await page.getByRole("heading", { name: "cnn.onnx", exact: true }).waitFor()
  // Read where it lies: nothing was copied to a folder of uploads.
  expect(existsSync(path.join(folder, "workspace", "uploads"))).toBe(false)
  expect(faults).toEqual([])
})

test("opens a package the user opened elsewhere, shows where it lies, and takes no file a script made", async () => {
  const { page, drop } = desktop
  app.emit("second-instance", {}, ["sealwright", seal], folder)
  await page.getByRole("heading", { name: "cnn.seal", exact: true }).waitFor()
  await page.locator("[data-check]").first().waitFor()
  await page.getByRole("button", { name: "Show in folder" }).click()
  await vi.waitFor(() => expect(world.shown).toEqual([seal]))
  await drop("made-up.onnx")
  await page.getByText("FILE_NOT_FOUND").waitFor()
})

test("connects to nothing but its port", async () => {
  const { page, faults } = desktop
  const before = faults.length
  const reached = await page.evaluate(async () => {
    const asked = await fetch("https://example.com/").then(
      () => "fetched",
      () => "refused",
    )
    const socket = await new Promise<string>((resolve) => {
      try {
        const opened = new WebSocket("wss://example.com/")
        opened.onopen = () => resolve("opened")
        opened.onerror = () => resolve("refused")
      } catch {
        resolve("refused")
      }
    })
    return [asked, socket]
  })
  expect(reached).toEqual(["refused", "refused"])
  expect(faults.slice(before).join("\n")).toContain("connect-src 'none'")
})

test("says that the engine was started anew", async () => {
  process.kill(engines.at(-1)?.pid ?? 0, "SIGKILL")
  await desktop.page.getByRole("button", { name: /^engine, restarted 1×/ }).waitFor()
  expect(engines).toHaveLength(2)
})
