/** What goes wrong around a window, and what it makes of it. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import { inspect } from "node:util"
import { beforeAll, expect, test } from "vitest"
import { seedWorkspace } from "../support/seeded-workspace.ts"
import { useDesktop } from "../support/browser.ts"
import { block, join } from "../support/protobuf.ts"
import { model, tensor, TYPE } from "../support/onnx-models.ts"

const desktop = useDesktop()
beforeAll(async () => {
  await seedWorkspace(desktop.host.supervisor.engine, desktop.workspace, { isMarked: false })
})

test("keeps the token out of address, history, cookies and stores that outlive the tab", async () => {
  const token = desktop.link().split("#token=")[1] ?? ""
  const { page, context } = await desktop.open()
  expect(page.url()).not.toContain(token)
  const devtools = await context.newCDPSession(page)
  const history = await devtools.send("Page.getNavigationHistory")
  // A browser may remember what was typed into its address bar: that is why a link works once.
  for (const { url } of history.entries) expect(url).not.toContain(token)
  const again = await context.newPage()
  await again.goto(`${desktop.link().split("#")[0] ?? ""}#token=${token}`)
  await again.getByRole("heading", { name: "This window has no key" }).waitFor()
  expect(await context.cookies()).toEqual([])
  const stored = await page.evaluate(
    () => JSON.stringify(Object.entries(localStorage)) + JSON.stringify(Object.entries(sessionStorage)),
  )
  expect(stored).not.toContain(token)
  await page.reload()
  await page.getByRole("button", { name: /^engine/ }).waitFor()
  await context.close()
})

test("shows a second tab without a link why it is empty, and lets one with a link in", async () => {
  const first = await desktop.open()
  const stranger = await first.context.newPage()
  await stranger.goto(first.page.url())
  await stranger.getByRole("heading", { name: "This window has no key" }).waitFor()
  const second = await desktop.open()
  await second.page.getByRole("link", { name: "Devices" }).click()
  await second.page.getByRole("article", { name: "press-07" }).waitFor()
  await first.page.getByRole("link", { name: "Devices" }).click()
  await first.page.getByRole("article", { name: "press-07" }).waitFor()
  await first.context.close()
  await second.context.close()
})

test("stays usable while the engine is slow, and shows what was asked once it answers", async () => {
  const { page, context } = await desktop.open()
  const pid = desktop.host.supervisor.pid ?? 0
  process.kill(pid, "SIGSTOP")
  try {
    await page.getByRole("link", { name: "Doctor" }).click()
    await page.getByText("Looking…").waitFor()
    await page.getByRole("link", { name: "Models" }).click()
    await page.getByRole("heading", { name: "Drop an ONNX model anywhere in this window" }).waitFor()
    await page.getByRole("link", { name: "Doctor" }).click()
  } finally {
    process.kill(pid, "SIGCONT")
  }
  await page.locator("[data-check=node]").waitFor()
  await context.close()
})

test(
  "says that the engine ended in the middle of a job, and goes on with the next one",
  { timeout: 200_000 },
  async () => {
    const { page, context, shoot } = await desktop.open()
    await page.getByRole("button", { name: "Use the sample model" }).click()
    await page.getByRole("button", { name: "Protect…" }).click()
    await page.getByRole("button", { name: "Protect", exact: true }).click()
    await page.locator("[data-step=measure][data-state=running]").waitFor({ timeout: 60_000 })
    process.kill(desktop.host.supervisor.pid ?? 0, "SIGKILL")
    await page.getByText("ENGINE_GONE").waitFor()
    await shoot("engine-crash")
    await page.getByRole("button", { name: /^engine, restarted/ }).waitFor()
    await page.getByRole("button", { name: "Try again" }).click()
    await page.getByRole("button", { name: "Protect", exact: true }).click()
    await page.locator("[data-step=verify][data-state=done]").waitFor({ timeout: 60_000 })
    await page.getByRole("button", { name: "Cancel" }).click()
    await page.getByText("CANCELLED").first().waitFor()
    await context.close()
  },
)

test("finds back to the engine when the connection breaks", async () => {
  const { page, context, shoot } = await desktop.open()
  let cut = async () => {}
  await page.routeWebSocket("**/contract", (socket) => {
    const server = socket.connectToServer()
    cut = async () => {
      await socket.close({ code: 1001 })
      await server.close({ code: 1001 })
    }
  })
  await page.reload()
  await page.getByRole("button", { name: /^engine/ }).waitFor()
  await cut()
  await page.getByText("connection lost, trying again").waitFor()
  await shoot("connection-lost")
  await page.getByRole("button", { name: /^engine/ }).waitFor()
  await page.getByRole("link", { name: "Devices" }).click()
  await page.getByRole("article", { name: "press-07" }).waitFor()
  await context.close()
})

test("stops an upload on request and leaves nothing of it", async () => {
  const { page, context } = await desktop.open()
  const devtools = await context.newCDPSession(page)
  await devtools.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: 100_000,
  })
  const file = path.join(desktop.folder, "large.onnx")
  writeFileSync(file, Buffer.alloc(5_000_000))
  const choosing = page.waitForEvent("filechooser")
  await page.getByRole("button", { name: "Open model…" }).click()
  await (await choosing).setFiles(file)
  await page.getByText("Bringing in large.onnx").waitFor()
  await page.getByRole("button", { name: "Stop" }).click()
  await page.getByText("Bringing in large.onnx").waitFor({ state: "detached" })
  const left = () =>
    readdirSync(path.join(desktop.workspace, "uploads"), { recursive: true, encoding: "utf8" }).filter(
      (name) => name.endsWith("large.onnx"),
    )
  await expect.poll(left).toEqual([])
  await context.close()
})

test("shows hostile names as text, whole and in their place", async () => {
  const { page, context, faults, shoot, checkAccessible } = await desktop.open()
  const evil = `<img src=x onerror="document.title='owned'">`
  const long = "w".repeat(3000)
  const turned = "\u202egpj.exe\u0007"
  const weights = block(9, Buffer.alloc(16))
  const folder = path.join(desktop.folder, "hostile")
  mkdirSync(folder, { recursive: true })
  const file = path.join(folder, `<b onclick=alert(1)>${"n".repeat(150)}.onnx`)
  writeFileSync(
    file,
    join(
      block(2, `<script>document.title='owned'</script>`),
      model(
        ...[evil, long, turned, "{{7*7}}", "javascript:alert(1)"].map((name) =>
          block(5, tensor(name, TYPE.float, [4], weights)),
        ),
        block(11, block(1, evil)),
      ),
    ),
  )
  const choosing = page.waitForEvent("filechooser")
  await page.getByRole("button", { name: "Open model…" }).click()
  await (await choosing).setFiles(file)
  await page.getByText("Where the parameters are").waitFor()
  await shoot("hostile-overview")
  await page.getByRole("tab", { name: /^Tensors/ }).click()
  await page.getByText(evil).first().waitFor()
  await shoot("hostile-tensors")
  await checkAccessible()
  // A text, since these tests are compiled without a browser's types.
  const layout = await page.evaluate(`({
    title: document.title,
    width: document.documentElement.scrollWidth <= window.innerWidth,
    injected: document.querySelectorAll("main img, main script, main b[onclick]").length,
  })`)
  expect(layout).toEqual({ title: "Sealwright", width: true, injected: 0 })
  expect(faults).toEqual([])
  await context.close()
})

test("the judge of accessibility finds a button without a name and a text too faint to read", async () => {
  const { page, context, checkAccessible } = await desktop.open()
  await checkAccessible()
  // A text, since these tests are compiled without a browser's types.
  await page.evaluate(`{
    document.querySelector("main h1").style.color = "#eeeeee"
    document.querySelector("main").append(document.createElement("button"))
  }`)
  const found = await checkAccessible().then(
    () => "nothing",
    (error: unknown) => inspect(error),
  )
  expect(found).toContain("button-name")
  expect(found).toContain("color-contrast")
  await context.close()
})
