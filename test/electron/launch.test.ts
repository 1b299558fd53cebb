/** The real program, where Electron's is at hand: it starts, shows the window, and holds what the stand-in promises. */
import path from "node:path"
import { _electron } from "playwright"
import { expect, test } from "vitest"
import { findElectron } from "../../packaging/release/electron-program.ts"
import { ROOT, temporaryFolder } from "../support/workspace.ts"

const electron = findElectron(ROOT)
if (electron.kind === "missing") console.log(`Electron itself is not tried: ${electron.reason}.`)

test.skipIf(electron.kind === "missing")(
  "the desktop program shows its window, connected to its engine, and nothing of Node in it",
  { timeout: 120_000 },
  async () => {
    if (electron.kind === "missing") return
    const folder = temporaryFolder()
    const program = await _electron.launch({
      executablePath: electron.program,
      args: [
        ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
        `--user-data-dir=${path.join(folder, "user")}`,
        ROOT,
      ],
      env: { ...process.env, SEALWRIGHT_HOME: path.join(folder, "workspace") },
    })
    try {
      const page = await program.firstWindow()
      await page.getByRole("button", { name: /^engine/ }).waitFor()
      expect(page.url()).toMatch(/^app:\/\/sealwright\//)
      expect(
        await page.evaluate(() => [
          typeof Reflect.get(globalThis, "require"),
          typeof Reflect.get(globalThis, "process"),
        ]),
      ).toEqual(["undefined", "undefined"])
      await page.getByRole("link", { name: "Doctor" }).click()
      await page.locator("[data-check=node]").waitFor()
    } finally {
      await program.close()
    }
  },
)
