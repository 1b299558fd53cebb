/** The built window in Debian's Chromium, on a loopback host of its own, as a user has it. */
import { existsSync, mkdirSync } from "node:fs"
import path from "node:path"
import axe from "axe-core"
import { chromium, type Browser, type BrowserContext, type Page } from "playwright"
import { afterAll, beforeAll, expect, onTestFailed } from "vitest"
import { startLoopbackHost, type LoopbackHost } from "../../main/host/loopback.ts"
import { ROOT, sharedFolder } from "./workspace.ts"

const PAGES = path.join(ROOT, "dist", "renderer")
const SCREENSHOTS = path.join(ROOT, "test-results", "screenshots")

export type Scheme = "light" | "dark"

export interface Desktop {
  readonly folder: string
  readonly workspace: string
  readonly host: LoopbackHost
  readonly browser: Browser
  /** A link that opens one window. */
  link(): string
  /** A new window, connected. What the page's policy refuses and what it logs as an error ends the test that asks. */
  open(options?: { readonly scheme?: Scheme }): Promise<Window>
}

export interface Window {
  readonly page: Page
  readonly context: BrowserContext
  /** Console errors and policy violations so far. */
  readonly faults: readonly string[]
  shoot(this: void, name: string): Promise<void>
  /** No serious or critical finding of axe. */
  checkAccessible(this: void): Promise<void>
  /**
   * Pictures of what is shown in both themes, and no serious or critical finding in either. Between themes only colours
   * change, so the second is judged by contrast alone.
   */
  look(this: void, name: string): Promise<void>
}

/** Host and browser for the tests of one suite; `prepare` may fill the workspace before the host starts. */
export function useDesktop(prepare: (workspace: string) => Promise<void> | void = () => {}): Desktop {
  const folder = sharedFolder()
  const workspace = path.join(folder, "workspace")
  const links: string[] = []
  let host: LoopbackHost | null = null
  let browser: Browser | null = null
  beforeAll(async () => {
    if (!existsSync(path.join(PAGES, "index.html")))
      throw new Error("the window is not built: npm run build:ui")
    mkdirSync(workspace, { recursive: true })
    await prepare(workspace)
    host = await startLoopbackHost({ workspace, port: 0, pages: PAGES, onLink: (link) => links.push(link) })
    browser = await chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
    })
  })
  afterAll(async () => {
    await browser?.close()
    await host?.close()
  })
  const started = <T>(value: T | null): T => {
    if (value === null) throw new Error("the desktop starts with the first test")
    return value
  }
  return {
    folder,
    workspace,
    get host() {
      return started(host)
    },
    get browser() {
      return started(browser)
    },
    link: () => links.at(-1) ?? "",
    open: async ({ scheme = "light" } = {}) => openWindow(started(browser), links.at(-1) ?? "", scheme),
  }
}

async function openWindow(browser: Browser, link: string, scheme: Scheme): Promise<Window> {
  const context = await browser.newContext({
    colorScheme: scheme,
    reducedMotion: "reduce",
    viewport: { width: 1180, height: 760 },
    acceptDownloads: true,
  })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const faults: string[] = []
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text())
  })
  page.on("pageerror", (error) => faults.push(String(error)))
  await page.goto(link)
  await page.getByRole("button", { name: /^engine/ }).waitFor()
  const shoot = async (name: string, theme: Scheme = scheme) => {
    mkdirSync(SCREENSHOTS, { recursive: true })
    await page.screenshot({ path: path.join(SCREENSHOTS, `${name}-${theme}.png`) })
  }
  onTestFailed(async ({ task }) => {
    await shoot(`failed-${task.name.replaceAll(/[^a-z0-9]+/gi, "-").slice(0, 60)}`).catch(() => {})
    await context.close()
  })
  return {
    page,
    context,
    faults,
    shoot,
    checkAccessible: async () => expectAccessible(page),
    async look(name) {
      const other = scheme === "light" ? "dark" : "light"
      await shoot(name)
      await expectAccessible(page)
      await page.emulateMedia({ colorScheme: other })
      await page.locator(`html[data-mantine-color-scheme=${other}]`).waitFor({ state: "attached" })
      await shoot(name, other)
      await expectAccessible(page, ["color-contrast"])
      await page.emulateMedia({ colorScheme: scheme })
      await page.locator(`html[data-mantine-color-scheme=${scheme}]`).waitFor({ state: "attached" })
    },
  }
}

/** axe's script stays in the page: it is half a megabyte, and a window is looked at many times. */
async function expectAccessible(page: Page, rules: readonly string[] = []): Promise<void> {
  if ((await page.evaluate("typeof axe")) === "undefined") await page.evaluate(axe.source)
  // It would see nothing of a frame inside.
  expect(page.frames()).toHaveLength(1)
  const options = {
    resultTypes: ["violations"],
    ...(rules.length === 0 ? {} : { runOnly: { type: "rule", values: rules } }),
  }
  const found = (await page.evaluate(`axe.run(${JSON.stringify(options)})`)) as axe.AxeResults
  // A run that judged nothing finds nothing.
  expect(found.passes.length).toBeGreaterThan(0)
  const bad = found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary ?? ""}`).join(" | ")}`,
    )
  expect(bad).toEqual([])
}

/** The system's file dialog: opened by `act`, answered with files. */
export async function chooseFiles(
  page: Page,
  files: readonly string[],
  act: () => Promise<void>,
): Promise<void> {
  const choosing = page.waitForEvent("filechooser")
  await act()
  await (await choosing).setFiles([...files])
}

export async function goTo(page: Page, route: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(`/${route}`)}`)
}
