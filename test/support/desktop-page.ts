/**
 * The built window in Debian's Chromium, on the desktop shell: the page's bytes and headers come from the shell's scheme, the
 * preload is the built one, and its messages and port reach the shell in this process. Only Electron itself stands in.
 */
import { readFileSync } from "node:fs"
import path from "node:path"
import type { MessagePort } from "node:worker_threads"
import { chromium, type Browser, type Page } from "playwright"
import { ipcMain, ownSender, page as preload, session } from "./fake-electron.ts"
import { ROOT } from "./workspace.ts"

/** Stands for `app://sealwright/`, which only Electron knows. Secure, and looked up nowhere: every request is answered here. */
const ADDRESS = "https://sealwright.invalid/"

export interface DesktopPage {
  readonly page: Page
  /** What the page logged as an error or its policy refused. */
  readonly faults: readonly string[]
  /** Drops a file of this computer anywhere in the window. */
  drop(this: void, file: string): Promise<void>
  close(): Promise<void>
}

/** `paths`: where the files lie whose names the page knows. */
export async function openDesktopPage(paths: ReadonlyMap<string, string>): Promise<DesktopPage> {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
  })
  try {
    return await load(browser, paths)
  } catch (error) {
    await browser.close()
    throw error
  }
}

async function load(browser: Browser, paths: ReadonlyMap<string, string>): Promise<DesktopPage> {
  const page = await browser.newPage({ viewport: { width: 1180, height: 760 }, reducedMotion: "reduce" })
  page.setDefaultTimeout(30_000)
  const faults: string[] = []
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text())
  })
  page.on("pageerror", (error) => faults.push(String(error)))
  await page.route("**/*", async (route) => {
    const answer = await session.defaultSession.schemes.get("app")?.(
      new Request(route.request().url().replace(ADDRESS, "app://sealwright/")),
    )
    if (answer === undefined) return route.abort()
    await route.fulfill({
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: Buffer.from(await answer.arrayBuffer()),
    })
  })
  await linkPreload(page, paths)
  await page.goto(ADDRESS)
  await page.getByRole("button", { name: /^engine/ }).waitFor()
  return {
    page,
    faults,
    drop: async (file) => {
      const transfer = await page.evaluateHandle((name) => {
        const made = new (globalThis as unknown as InPage).DataTransfer()
        made.items.add(new File(["x"], name))
        return made
      }, path.basename(file))
      await page.dispatchEvent("body", "dragenter", { dataTransfer: transfer })
      for (const event of ["dragenter", "dragover", "drop"])
        await page.dispatchEvent(".sw-drop-inner", event, { dataTransfer: transfer })
    },
    close: async () => browser.close(),
  }
}

/** Runs the built preload in the page, with a stand-in for Electron's renderer part that leads here. */
async function linkPreload(page: Page, paths: ReadonlyMap<string, string>): Promise<void> {
  let port: MessagePort | null = null
  const emit = async (channel: string, args: readonly unknown[], hasPort: boolean) =>
    page.evaluate(
      ([name, given, carries]) =>
        (globalThis as unknown as InPage).sealwrightShell.emit(name, given, carries),
      [channel, args, hasPort] as const,
    )
  await page.exposeFunction("shellSend", (channel: string, args: readonly unknown[]) => {
    ipcMain.emit(channel, ownSender(), ...args)
  })
  await page.exposeFunction("shellInvoke", async (channel: string, args: readonly unknown[]) =>
    ipcMain.handlers.get(channel)?.(ownSender(), ...args),
  )
  await page.exposeFunction("shellPort", (data: string) => port?.postMessage(data))
  const forward = preload.emit.bind(preload)
  preload.emit = (channel, event: { readonly ports: readonly MessagePort[] }, ...args: unknown[]) => {
    const [arrived] = event.ports
    if (arrived !== undefined) {
      port = arrived
      port.on(
        "message",
        (data: unknown) =>
          void page
            .evaluate((text) => (globalThis as unknown as InPage).sealwrightShell.port(text), String(data))
            // A page that is gone misses what was on its way.
            .catch(() => {}),
      )
    }
    void emit(String(channel), args, arrived !== undefined)
    return forward(channel, event, ...args)
  }
  await page.addInitScript(standIn, Object.fromEntries(paths))
  await page.addInitScript({
    content: `(() => { ${readFileSync(path.join(ROOT, "dist", "shell", "preload.cjs"), "utf8")} })()`,
  })
}

/** A page's port and drop data, as far as they are used here; the tests know no browser's types. */
interface PagePort {
  onmessage: ((event: { readonly data: string }) => void) | null
  postMessage(text: string): void
}
interface InPage {
  sealwrightShell: {
    emit(this: void, channel: string, args: readonly unknown[], hasPort: boolean): void
    port(this: void, text: string): void
  }
  shellSend(channel: string, args: readonly unknown[]): Promise<void>
  shellInvoke(channel: string, args: readonly unknown[]): Promise<unknown>
  shellPort(text: string): Promise<void>
  require: () => unknown
  MessageChannel: new () => { readonly port1: PagePort; readonly port2: PagePort }
  DataTransfer: new () => { readonly items: { add(file: File): void } }
}

/** Runs in the page, before anything else, so it names nothing from outside: what a sandboxed preload gets when it requires "electron". */
function standIn(paths: Readonly<Record<string, string>>): void {
  const here = globalThis as unknown as InPage // a page's, in a browser
  const listeners = new Map<string, ((event: object, ...args: unknown[]) => void)[]>()
  let own: PagePort | null = null
  here.sealwrightShell = {
    emit(channel, args, hasPort) {
      const ports: PagePort[] = []
      if (hasPort) {
        const { port1, port2 } = new here.MessageChannel()
        own = port1
        own.onmessage = ({ data }) => void here.shellPort(data)
        ports.push(port2)
      }
      for (const listener of listeners.get(channel) ?? []) listener({ ports }, ...args)
    },
    port: (text) => own?.postMessage(text),
  }
  const electron = {
    contextBridge: {
      exposeInMainWorld: (name: string, value: object) => Object.defineProperty(globalThis, name, { value }),
    },
    ipcRenderer: {
      on: (channel: string, listener: (event: object, ...args: unknown[]) => void) =>
        listeners.set(channel, [...(listeners.get(channel) ?? []), listener]),
      send: (channel: string, ...args: unknown[]) => void here.shellSend(channel, args),
      invoke: async (channel: string, ...args: unknown[]) => here.shellInvoke(channel, args),
    },
    webUtils: { getPathForFile: ({ name }: { readonly name: string }) => paths[name] ?? "" },
  }
  here.require = () => electron
}
