/** Ten thousand devices and two thousand packages: only what is in sight exists. */
import { expect, test } from "vitest"
import { useDesktop } from "../support/browser.ts"
import { crowdWorkspace } from "../support/crowded-workspace.ts"

const desktop = useDesktop((workspace) => crowdWorkspace(workspace, { devices: 10_000, packages: 2000 }))

test("stays usable with 10,000 devices and 2,000 packages", { timeout: 120_000 }, async () => {
  const { page, context, faults, shoot } = await desktop.open()
  await page.getByRole("link", { name: "Devices" }).click()
  await page.getByText("10,000 devices", { exact: true }).waitFor({ timeout: 60_000 })
  await page.getByRole("article", { name: "press-00000" }).waitFor()
  expect(await page.getByRole("article").count()).toBeLessThan(100)
  await page.getByLabel("Find devices").fill("press-09876")
  await page.getByRole("article", { name: "press-09876" }).waitFor()
  expect(await page.getByRole("article").count()).toBe(1)
  await page.getByRole("link", { name: "Packages" }).click()
  await page.getByText("2,000 packages", { exact: true }).waitFor({ timeout: 60_000 })
  await page.getByRole("row", { name: /model-1999\.seal/ }).waitFor()
  expect(await page.getByRole("row").count()).toBeLessThan(80)
  await shoot("crowded-packages")
  await page.getByRole("button", { name: "Name" }).click()
  await page.getByRole("row", { name: /model-0000\.seal/ }).waitFor()
  expect(faults).toEqual([])
  await context.close()
})
