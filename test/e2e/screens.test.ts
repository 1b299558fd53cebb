/** Every screen's main path and its main failure, in both themes, looked at and checked for accessibility. */
import { writeFileSync } from "node:fs"
import path from "node:path"
import type { Page } from "playwright"
import { beforeAll, describe, expect, test } from "vitest"
import { seedWorkspace, type Seeded } from "../support/seeded-workspace.ts"
import { chooseFiles, goTo, useDesktop } from "../support/browser.ts"
import { answerRequest, CA, issue } from "../support/certificates.ts"
import { DATA, MODELS } from "../support/workspace.ts"

const desktop = useDesktop()
let seeded: Seeded
beforeAll(async () => {
  seeded = await seedWorkspace(desktop.host.supervisor.engine, desktop.workspace, {
    isMarked: false,
  })
})

describe("in both themes", { timeout: 180_000 }, () => {
  test("all screens show their main path and are accessible", async () => {
    const window = await desktop.open()
    const { page, look } = window
    await page.getByRole("heading", { name: "Drop an ONNX model anywhere in this window" }).waitFor()
    await look("models-empty")

    await page.getByRole("button", { name: "Use the sample model" }).click()
    await page.getByText("Where the parameters are").waitFor()
    await look("model-overview")
    await page.getByRole("tab", { name: "Tensors (22)" }).click()
    await page.getByLabel("Find tensors").fill("conv2")
    await expect.poll(async () => page.getByRole("row").count()).toBeLessThan(12)
    await page.getByText("conv2.weight").waitFor()
    await look("model-tensors")
    await page.getByRole("tab", { name: "Packages" }).click()
    await page.getByRole("row", { name: /fashion-cnn\.seal/ }).waitFor()

    await page.getByRole("link", { name: "Models" }).click()
    await page.getByRole("row", { name: /fashion-cnn\.onnx/ }).waitFor()
    await look("models")

    await page.getByRole("link", { name: "Packages" }).click()
    await page.getByRole("row", { name: /tampered\.seal/ }).waitFor()
    await look("packages")
    await page.getByRole("row", { name: /fashion-cnn\.seal/ }).press("Enter")
    await page.getByText("Verified", { exact: true }).waitFor()
    expect(await page.locator("[data-check][data-state=verified]").count()).toBeGreaterThanOrEqual(7)
    await page.getByRole("button", { name: /Container complete/ }).click()
    await page.getByText("FORMAT section 2, 3").waitFor()
    await page
      .getByRole("listitem")
      .filter({ hasText: /^minimum runtime R0$/ })
      .waitFor()
    await look("package-checks")
    await page.getByRole("tab", { name: "Contents" }).click()
    await page.getByText("as anybody sees them").waitFor()
    await look("package-contents")
    await page.getByRole("tab", { name: "Signatures" }).click()
    const made = page.getByRole("listitem").filter({ hasText: "Made this package" })
    await made.getByText("by release-1").waitFor()
    await made.getByText("software only").waitFor()
    await made.getByRole("button", { name: /^Copy digest of the subject/ }).waitFor()
    await look("package-signatures")

    await page.getByRole("link", { name: "Devices" }).click()
    await page.getByRole("article", { name: "line-3-camera" }).waitFor()
    await look("devices")
    await page.getByRole("button", { name: "Add device…" }).click()
    await page.getByRole("dialog").getByLabel("Name").waitFor()
    await look("device-add")
    await page.keyboard.press("Escape")

    await page.getByRole("link", { name: "Activity" }).click()
    await page.locator("[data-job=done]").first().waitFor()
    await look("activity")
    await page.getByRole("link", { name: "Doctor" }).click()
    await page.locator("[data-check=node]").waitFor()
    await look("doctor")
    // What the status bar says is so, and leads to the line that says more.
    const { runtime, tpm } = await desktop.host.supervisor.engine.levels()
    const status = page.getByRole("contentinfo", { name: "Status" })
    await status.getByRole("button", { name: tpm ? "TPM" : "no TPM", exact: true }).click()
    await page.locator("[data-pointed][data-check=keys-tpm2]").waitFor()
    await status.getByRole("button", { name: runtime ?? "no sealed runtime" }).click()
    await page.locator("[data-pointed][data-check=runtime]").waitFor()
    await page.getByRole("radiogroup", { name: "Colours" }).getByText("Dark").click()
    await page.locator("html[data-mantine-color-scheme=dark]").waitFor({ state: "attached" })
    await page.getByText("As the system").click()
    await page.locator("html[data-mantine-color-scheme=light]").waitFor({ state: "attached" })

    await page.keyboard.press("Control+k")
    await page.getByRole("textbox", { name: "Search actions" }).fill("val")
    await page.getByText("Validate a package").waitFor()
    await look("palette")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: /^Validate / }).waitFor()
    await look("validate")
    expect(window.faults).toEqual([])
    await window.context.close()
  })

  test("failures say what happened and what to do", async () => {
    const window = await desktop.open()
    const { page } = window
    const expectFailure = async (code: string) => page.getByText(code, { exact: true }).first().waitFor()

    // Models: a file that is none.
    const text = path.join(desktop.folder, "notes.onnx")
    writeFileSync(text, "these are not weights")
    await choose(page, "Open model…", [text])
    await expectFailure("ONNX_NOT_A_MODEL")
    await window.look("failure-model")
    await page.getByRole("button", { name: "Close" }).click()

    // Packages: one that was changed is refused, by name of the check.
    await goTo(page, `packages/${seeded.tampered}`)
    await page.getByText("Refused: do not use this package").waitFor()
    expect(await page.locator("[data-check][data-state=refused]").count()).toBe(1)
    await window.look("failure-package")

    // Devices: a key that is none, and a removal that says what is lost and can be left.
    await goTo(page, "devices")
    await page.getByRole("button", { name: "Add device…" }).click()
    const dialog = page.getByRole("dialog")
    await dialog.getByLabel("Name").fill("camera-9")
    await dialog.getByRole("textbox", { name: "Public key" }).fill("age1nonsense")
    await dialog.getByRole("button", { name: "Add device" }).click()
    await expectFailure("RECIPIENT_INVALID")
    await window.shoot("failure-device")
    await page.keyboard.press("Escape")
    await page.getByRole("button", { name: "Remove press-07" }).click()
    await page.getByText(/Its private key is deleted from this computer/).waitFor()
    await window.look("device-remove")
    await page.getByRole("button", { name: "Keep" }).click()
    expect((await desktop.host.supervisor.engine.devices.list()).length).toBe(3)

    // Validate: data of another shape.
    await choose(page, null, [path.join(MODELS, "fashion-cnn.onnx"), path.join(DATA, "digits-eval-x.npy")])
    await page.getByText("digits-eval-x.npy").waitFor()
    await goTo(page, `validate/${seeded.good}`)
    await page.getByRole("button", { name: "Validate", exact: true }).click()
    await expectFailure("INPUT_MISMATCH")
    await window.look("failure-validate")
    await page.getByRole("link", { name: "Activity" }).click()
    await page.getByText("What did not finish in this window").waitFor()
    expect(window.faults).toEqual([])
    await window.context.close()
  })
})

test("a key asks an authority for a certificate, and keeps what comes back if it is good", async () => {
  const { page, context, faults, look } = await desktop.open()
  const authority = issue({ name: "Example authority", extensions: CA })
  const write = (name: string, text: string) => {
    const place = path.join(desktop.folder, name)
    writeFileSync(place, text)
    return place
  }
  const more = async (item: string) => {
    await page.getByRole("button", { name: "More for release-1" }).click()
    await page.getByRole("menuitem", { name: item }).click()
  }
  await goTo(page, "doctor")
  await more("Ask for a certificate…")
  const asking = page.getByRole("dialog", { name: "Certificate for release-1" })
  await asking.getByLabel("Subject").fill("CN=release-1, O=Example")
  const download = page.waitForEvent("download")
  await asking.getByRole("button", { name: "Save request" }).click()
  const request = path.join(desktop.folder, "release-1.csr.pem")
  await (await download).saveAs(request)
  await asking.waitFor({ state: "detached" })

  await more("Attach a certificate…")
  const attaching = page.getByRole("dialog", { name: "Attach a certificate to release-1" })
  const choose = async (what: string, file: string) => {
    await chooseFiles(page, [file], async () =>
      attaching.getByRole("button", { name: `Choose ${what}…` }).click(),
    )
    await attaching.getByText(path.basename(file), { exact: true }).waitFor()
  }
  await choose("certificate", write("wrong-use.pem", answerRequest(request, authority, { extensions: CA })))
  await choose("roots", write("authority.pem", authority.pem))
  await attaching.getByRole("button", { name: "Attach" }).click()
  await attaching.getByText("It was refused, and nothing was kept.").waitFor()
  await attaching.getByText('the certificate of "CN=release-1, O=Example" may not make signatures').waitFor()
  await look("certificate-refused")
  await choose("certificate", write("release-1.pem", answerRequest(request, authority)))
  await attaching.getByRole("button", { name: "Attach" }).click()
  await attaching.waitFor({ state: "detached" })
  await page.getByText(/^CN=release-1.*, by CN=Example authority, until /).waitFor()
  expect(faults).toEqual([])
  await context.close()
})

test("a validation is followed live and ends with a report to open", { timeout: 180_000 }, async () => {
  const window = await desktop.open()
  const { page } = window
  await page.getByRole("button", { name: "Use the sample model" }).click()
  await page.getByText("Where the parameters are").waitFor()
  await goTo(page, `validate/${seeded.good}`)
  await page.getByRole("combobox", { name: "Sign the result into the package" }).click()
  await page.getByRole("option", { name: "with release-1 (software)" }).click()
  const gate = path.join(desktop.folder, "gate.json")
  writeFileSync(gate, JSON.stringify({ maxAccuracyLoss: 0.5, requiredLevel: "R0" }))
  await chooseFiles(page, [gate], async () => page.getByRole("button", { name: "Choose gate…" }).click())
  await page.getByText("gate.json", { exact: true }).waitFor()
  await page.getByRole("button", { name: "Validate", exact: true }).click()
  const chart = page.getByRole("img", { name: /^Latency of \d+ calls/ })
  await chart.waitFor({ timeout: 120_000 })
  const callsSeen = Number(/of (\d+) calls/.exec((await chart.getAttribute("aria-label")) ?? "")?.[1])
  await page.getByText("Sealing changed no output").waitFor({ timeout: 120_000 })
  expect(callsSeen).toBeGreaterThan(0)
  await page.getByText("500 of 500 rows").waitFor()
  await page.getByText("Signed into the package with release-1.").waitFor()
  expect(
    await page.getByRole("list", { name: "Gate" }).getByText("kept", { exact: true }).count(),
  ).toBeGreaterThan(1)
  await window.look("validate-result")
  const levels = page.getByRole("region", { name: "Levels" })
  await levels.scrollIntoViewIfNeeded()
  await levels.getByRole("row", { name: /^R0, a process .* identical$/ }).waitFor()
  await window.shoot("validate-levels")
  const download = page.waitForEvent("download")
  await page.getByRole("button", { name: "Save figures (JSON)" }).click()
  expect((await download).suggestedFilename()).toBe("report.json")
  expect(window.faults).toEqual([])
  await window.context.close()
})

async function choose(page: Page, button: string | null, files: readonly string[]): Promise<void> {
  await chooseFiles(page, files, async () => {
    if (button !== null) {
      await page.getByRole("button", { name: button }).click()
      return
    }
    await page.keyboard.press("Control+k")
    await page.getByRole("textbox", { name: "Search actions" }).fill("Open a file")
    await page.keyboard.press("Enter")
  })
}
