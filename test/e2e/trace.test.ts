/** Whose copy is this: from a found file to a name, to "cannot tell", and to what a wrong file is told. */
import { writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, expect, test } from "vitest"
import { quantise } from "../support/attacks/formats.ts"
import { putTogether, takeApart } from "../support/attacks/onnx-editor.ts"
import { chooseFiles, goTo, useDesktop } from "../support/browser.ts"
import { markWorkspace, type MarkedWorkspace } from "../support/marked-workspace.ts"
import { MODELS } from "../support/workspace.ts"

let marked: MarkedWorkspace
const desktop = useDesktop(async (workspace) => {
  marked = await markWorkspace(workspace, "fashion-cnn.onnx", 60)
})
const ORIGINAL = path.join(MODELS, "fashion-cnn.onnx")
const at = (name: string) => path.join(desktop.folder, name)
beforeAll(async () => {
  const leak = takeApart(await marked.copyOf(7))
  quantise(leak, 8, true)
  writeFileSync(at("leak.onnx"), putTogether(leak))
})

test("names the device a leaked copy was made for, with its evidence", { timeout: 120_000 }, async () => {
  const { page, context, faults, look } = await desktop.open()
  await page.getByRole("link", { name: "Trace" }).click()
  await page.getByText("60 copies of 1 model in the ledger").waitFor()
  await look("trace-empty")
  await chooseFiles(page, [at("leak.onnx")], async () =>
    page.getByRole("button", { name: "Choose suspect…" }).click(),
  )
  await chooseFiles(page, [ORIGINAL], async () =>
    page.getByRole("button", { name: "Choose original…" }).click(),
  )
  await expect
    .poll(async () => page.getByRole("combobox", { name: "Original" }).inputValue())
    .toBe("fashion-cnn.onnx (in the ledger)")
  await look("trace-suspect")
  await page.getByRole("button", { name: "Trace", exact: true }).press("Enter")
  const verdict = page.getByRole("region", { name: "Verdict" })
  await verdict.getByText(/^This copy was made for press-7\. .* below 1\sin\s10[⁰¹²³⁴⁵⁶⁷⁸⁹]{2,}/).waitFor()
  await page.getByRole("img", { name: /^Scores of 60 devices: 1 device beyond the line/ }).waitFor()
  const first = page.getByRole("row", { name: /press-7 accused/ })
  expect(await first.getAttribute("aria-rowindex")).toBe("2")
  await look("trace-result")
  await page.getByRole("tab", { name: "Alignment" }).click()
  await page.getByText(/^0\.99\d\d \(1 for a copy/).waitFor()
  await look("trace-alignment")
  const opening = context.waitForEvent("page")
  await page.getByRole("button", { name: "Open evidence report" }).click()
  await (await opening).getByRole("heading", { name: "The suspect was traced to a device" }).waitFor()
  expect(faults).toEqual([])
  await context.close()
})

test("says that it cannot tell, and why, for a model that is no copy", { timeout: 120_000 }, async () => {
  const { page, context, look } = await desktop.open()
  await goTo(page, "trace")
  await chooseFiles(page, [ORIGINAL], async () =>
    page.getByRole("button", { name: "Choose suspect…" }).click(),
  )
  // The original itself: opened here, so it is at hand.
  await chooseFiles(page, [ORIGINAL], async () =>
    page.getByRole("button", { name: "Choose original…" }).click(),
  )
  await page.getByRole("button", { name: "Trace", exact: true }).click()
  await page.getByText("Cannot tell: it follows your model, but no mark was found in it.").waitFor()
  expect(await page.getByText("accused", { exact: true }).count()).toBe(1) // the legend alone
  await look("trace-cannot-tell")
  await context.close()
})

test("tells what is wrong with a file that is no model, and with a missing original", async () => {
  const { page, context, shoot } = await desktop.open()
  await goTo(page, "trace")
  writeFileSync(at("notes.onnx"), "these are not weights")
  await chooseFiles(page, [at("notes.onnx")], async () =>
    page.getByRole("button", { name: "Choose suspect…" }).click(),
  )
  await page.getByRole("button", { name: "Trace", exact: true }).click()
  await page.getByText("ONNX_NOT_A_MODEL", { exact: true }).waitFor()
  await page.getByRole("button", { name: "Trace another" }).click()
  await chooseFiles(page, [at("leak.onnx")], async () =>
    page.getByRole("button", { name: "Choose suspect…" }).click(),
  )
  await page.getByRole("button", { name: "Trace", exact: true }).click()
  await page.getByText("MARK_ORIGINAL_MISSING", { exact: true }).waitFor()
  await page.getByText(/Choose the model as it was before it was protected/).waitFor()
  await shoot("failure-trace")
  await context.close()
})
