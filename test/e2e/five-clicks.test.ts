/** From a plain model to a signed, sealed, measured package: by mouse in five clicks, and without one. */
import { existsSync, readFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { useDesktop } from "../support/browser.ts"
import { MODELS } from "../support/workspace.ts"

const desktop = useDesktop()

describe("the five-click path", { timeout: 300_000 }, () => {
  test("takes at most five clicks by mouse, from a file the user chose", async () => {
    const window = await desktop.open()
    const { page } = window
    const startedAt = performance.now()
    let clicks = 0
    const click = async (name: string | RegExp) => {
      clicks += 1
      await page.getByRole("button", { name, exact: typeof name === "string" }).click()
    }
    const choosing = page.waitForEvent("filechooser")
    await click("Open model…")
    await (await choosing).setFiles(path.join(MODELS, "fashion-cnn.onnx"))
    await click("Protect…")
    await page.getByRole("heading", { name: "Protect fashion-cnn.onnx" }).waitFor()
    await window.shoot("protect-steps")
    await window.checkAccessible()
    await click("Protect")
    await page.getByRole("region", { name: "Result" }).getByText("Verified").waitFor({ timeout: 240_000 })
    const seconds = (performance.now() - startedAt) / 1000
    console.log(`five-click path by mouse: ${clicks} clicks, ${seconds.toFixed(1)} s`)
    expect(clicks).toBeLessThanOrEqual(5)
    await window.shoot("protect-result")
    await window.checkAccessible()
    // What it claims is so: the package is there, and every step says what it did.
    const seal = readFileSync(path.join(desktop.workspace, "packages", "fashion-cnn.seal"))
    expect(seal.length).toBeGreaterThan(100_000)
    for (const step of ["encrypt", "sign", "verify", "measure"])
      expect(await page.locator(`[data-step=${step}]`).getAttribute("data-state"), step).toBe("done")
    expect(window.faults).toEqual([])
    await window.context.close()
  })

  test("goes by keyboard alone, on the sample with its data, and ends at the report", async () => {
    const window = await desktop.open({ scheme: "dark" })
    const { page } = window
    await page.keyboard.press("Control+k")
    await page.getByRole("textbox", { name: "Search actions" }).waitFor()
    await page.keyboard.type("sample")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "fashion-cnn.onnx", exact: true }).waitFor()
    await window.shoot("model")
    // The next step has the focus already: Enter is enough.
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "Protect fashion-cnn.onnx" }).waitFor()
    await page.keyboard.press("Enter")
    await page.getByRole("region", { name: "Result" }).getByText("Verified").waitFor({ timeout: 240_000 })
    await expect.poll(async () => page.locator("dd.sw-figure-value").allInnerTexts()).toContain("500 of 500")
    const report = window.context.waitForEvent("page")
    await page.keyboard.press("Enter")
    const opened = await report
    await opened.getByRole("heading", { name: /^Validation of/ }).waitFor()
    await window.shoot("protect-result-sample")
    await window.checkAccessible()
    expect(window.faults).toEqual([])
    await window.context.close()
  })

  test("says why a model cannot be protected as asked, writes nothing, and goes on as soon as it can be", async () => {
    const window = await desktop.open()
    const { page } = window
    const choosing = page.waitForEvent("filechooser")
    await page.getByRole("button", { name: "Open model…" }).first().click()
    await (await choosing).setFiles(path.join(MODELS, "cancer-mlp.onnx"))
    await page.getByRole("button", { name: "Protect…" }).click()
    await page.getByRole("heading", { name: "Protect cancer-mlp.onnx" }).waitFor()
    await window.look("protect")
    await page.getByRole("button", { name: "Protect", exact: true }).click()
    await page.getByText("MARK_TOO_WEAK", { exact: true }).first().waitFor()
    await window.look("failure-protect")
    expect(existsSync(path.join(desktop.workspace, "packages", "cancer-mlp.seal"))).toBe(false)
    await page.getByRole("button", { name: "Back to the steps" }).click()
    await page.getByRole("switch", { name: "Mark every copy" }).uncheck({ force: true })
    await page.getByRole("button", { name: "Protect", exact: true }).click()
    await page.getByRole("region", { name: "Result" }).getByText("Verified").waitFor({ timeout: 120_000 })
    expect(existsSync(path.join(desktop.workspace, "packages", "cancer-mlp.seal"))).toBe(true)
    expect(window.faults).toEqual([])
    await window.context.close()
  })
})
