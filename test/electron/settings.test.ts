/** Every setting that stands between a page and this computer: each test fails when its setting is turned round. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest"
import { CHANNELS } from "../../main/electron/channels.ts"
import { filesNamed } from "../../main/electron/opened-files.ts"
import { startShell } from "../../main/electron/shell.ts"
import type * as WindowPagesModule from "../../main/platform/window-pages.ts"
import {
  app,
  FakeContents,
  FakeEvent,
  FakeFrame,
  FakeSession,
  ipcMain,
  ownSender,
  page,
  resetWorld,
  session,
  world,
} from "../support/fake-electron.ts"
import { temporaryFolder, sharedFolder } from "../support/workspace.ts"

vi.mock("electron", async () => import("../support/fake-electron.ts"))
// The engine is not what these tests are about; the port's own suite has a real one.
vi.mock("../../main/platform/engine-process.ts", () => ({
  startEngineProcess: (_workspace: string, program: object) => {
    started.push(program)
    return {
      engine: {
        library: { packages: async () => [] },
        jobs: { list: async () => running },
        files: { refer: async () => "0123456789abcdef" },
      },
      pid: 1,
      exited: new Promise(() => {}),
      stop: async () => {},
    }
  },
}))
vi.mock("../../main/platform/window-pages.ts", async (original) => {
  const { WindowPages, COMMON_HEADERS } = await original<typeof WindowPagesModule>()
  return {
    COMMON_HEADERS,
    WindowPages: class extends WindowPages {
      constructor() {
        super(pages)
      }
    },
  }
})

const { started, running } = vi.hoisted(() => ({
  started: [] as object[],
  running: [] as { title: string; state: string }[],
}))
const pages = sharedFolder()
beforeAll(() => {
  mkdirSync(path.join(pages, "assets"))
  writeFileSync(path.join(pages, "index.html"), `<meta name="style-nonce" content="__STYLE_NONCE__">`)
  writeFileSync(path.join(pages, "assets", "app.js"), "export {}\n")
})

beforeEach(async () => {
  resetWorld(temporaryFolder())
  started.length = 0
  running.length = 0
})

function window() {
  const found = world.windows.at(-1)
  if (found === undefined) throw new Error("there is no window")
  return found
}

function pack(): void {
  app.isPackaged = true
  vi.stubGlobal("process", Object.assign(process, { resourcesPath: "/resources" }))
}

async function ask(url: string, method = "GET"): Promise<Response> {
  const answer = session.defaultSession.schemes.get("app")
  if (answer === undefined) throw new Error("the scheme is not served")
  return answer(new Request(url, { method }))
}

describe("before it is ready", () => {
  test("the program asks for sandboxes, no look-ups, one instance and its scheme", async () => {
    await startShell()
    expect(world.beforeReady).toEqual([
      "schemes",
      "sandbox",
      "switch host-resolver-rules=MAP * ~NOTFOUND",
      "lock",
    ])
  })

  test("a packed program also takes away the ways in of a debugger", async () => {
    pack()
    await startShell()
    expect(world.beforeReady.filter((fact) => fact.startsWith("no switch"))).toEqual([
      "no switch remote-debugging-port",
      "no switch remote-debugging-pipe",
      "no switch remote-allow-origins",
    ])
  })

  test("the scheme is secure and standard, and has no way around policy, sharing or workers", async () => {
    await startShell()
    expect(world.schemes).toEqual([
      {
        scheme: "app",
        privileges: {
          standard: true,
          secure: true,
          supportFetchAPI: true,
          codeCache: true,
          corsEnabled: false,
          bypassCSP: false,
          allowServiceWorkers: false,
          stream: false,
        },
      },
    ])
  })
})

describe("the window", () => {
  test("has a sandbox, a world of its own for the preload, and nothing of Node", async () => {
    await startShell()
    const { preload, ...rest } = window().options.webPreferences
    expect(path.basename(preload ?? "")).toBe("preload.cjs")
    expect(rest).toEqual({
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      allowRunningInsecureContent: false,
      experimentalFeatures: false,
      webviewTag: false,
      navigateOnDragDrop: false,
      spellcheck: false,
      safeDialogs: true,
      devTools: true,
    })
    expect(window().webContents.mainFrame.url).toBe("app://sealwright/")
  })

  test("has no inspector, neither in the menu, once the program is packed", async () => {
    pack()
    await startShell()
    expect(window().options.webPreferences.devTools).toBe(false)
    expect(JSON.stringify(world.menu)).not.toContain("toggleDevTools")
    expect(decideRequest("devtools://devtools/bundled/inspector.html")).toBe(true)
    expect(started[0]).toMatchObject({
      node: path.join("/resources", "engine", "bin", "node"),
      entry: path.join("/resources", "engine", "main", "host", "stdio.js"),
    })
  })

  test("goes nowhere, opens nothing and holds no other page", async () => {
    await startShell()
    const { webContents } = window()
    for (const name of ["will-navigate", "will-frame-navigate", "will-redirect"]) {
      for (const url of [
        "https://example.com/",
        "file:///etc/passwd",
        "app://other/",
        "app://sealwright/x",
        "data:text/html,x",
      ]) {
        const event = Object.assign(new FakeEvent(), { url })
        webContents.emit(name, event)
        expect(event.isPrevented, `${name} ${url}`).toBe(true)
      }
      const home = Object.assign(new FakeEvent(), { url: "app://sealwright/" })
      webContents.emit(name, home)
      expect(home.isPrevented).toBe(false)
    }
    expect(webContents.openWindow?.({ url: "https://example.com/" })).toEqual({ action: "deny" })
    const attach = new FakeEvent()
    webContents.emit("will-attach-webview", attach)
    expect(attach.isPrevented).toBe(true)
  })
})

describe("the session", () => {
  test("grants no permission, device or screen, whichever session it is", async () => {
    await startShell()
    const other = new FakeSession()
    app.emit("session-created", other)
    const { webContents } = window()
    for (const { onPermission, checkPermission, checkDevice, onDisplayMedia } of [
      session.defaultSession,
      other,
    ]) {
      for (const permission of [
        "media",
        "geolocation",
        "notifications",
        "openExternal",
        "fileSystem",
        "hid",
        "clipboard-read",
      ]) {
        const answers: boolean[] = []
        onPermission?.(webContents, permission, (isGranted) => answers.push(isGranted))
        expect(answers, permission).toEqual([false])
        expect(checkPermission?.(webContents, permission, "app://sealwright/"), permission).toBe(false)
      }
      expect(checkDevice?.()).toBe(false)
      const screens: unknown[] = []
      onDisplayMedia?.({}, (granted) => screens.push(granted))
      expect(screens).toEqual([null])
    }
  })

  test("lets its own page copy text, as its buttons for digests do, and nobody else", async () => {
    await startShell()
    const { onPermission, checkPermission } = session.defaultSession
    const other = new FakeContents()
    other.mainFrame.url = "https://example.com/"
    const asked = [window().webContents, other].map((contents) => {
      let isGranted: boolean | null = null
      onPermission?.(contents, "clipboard-sanitized-write", (answer) => (isGranted = answer))
      return isGranted
    })
    expect(asked).toEqual([true, false])
    const checked = ["app://sealwright/", "app://sealwright", "app://other/", "https://example.com/", ""].map(
      (origin) => checkPermission?.(null, "clipboard-sanitized-write", origin),
    )
    expect(checked).toEqual([true, true, false, false, false])
  })

  test("asks nobody but its own scheme", async () => {
    await startShell()
    for (const url of [
      "https://example.com/",
      "http://127.0.0.1:8080/",
      "ws://127.0.0.1:8080/",
      "file:///etc/passwd",
      "app://other/index.html",
      "blob:app://sealwright/1",
    ])
      expect(decideRequest(url), url).toBe(true)
    for (const url of ["app://sealwright/", "app://sealwright/assets/app.js", "data:image/png;base64,AA=="])
      expect(decideRequest(url), url).toBe(false)
  })

  test("keeps no download", async () => {
    await startShell()
    const event = new FakeEvent()
    session.defaultSession.emit("will-download", event)
    expect(event.isPrevented).toBe(true)
  })
})

function decideRequest(url: string): boolean | undefined {
  let cancel: boolean | undefined
  session.defaultSession.beforeRequest?.({ url }, (answer) => {
    cancel = answer.cancel
  })
  return cancel
}

describe("the scheme", () => {
  test("answers with the page under a policy that lets nothing else run or connect", async () => {
    await startShell()
    const answer = await ask("app://sealwright/")
    const nonce = /content="([^"]+)"/.exec(await answer.text())?.[1] ?? ""
    expect(nonce).toMatch(/^[\w+/]{22}==$/)
    expect(answer.headers.get("content-security-policy")).toBe(
      [
        "default-src 'none'",
        "script-src 'self'",
        `style-src 'self' 'nonce-${nonce}'`,
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
      ].join("; "),
    )
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff")
    expect(answer.headers.get("cross-origin-opener-policy")).toBe("same-origin")
    expect((await ask("app://sealwright/assets/app.js")).headers.get("content-type")).toMatch(
      /^text\/javascript/,
    )
  })

  test("knows no file but the built ones, no other host and no other method", async () => {
    await startShell()
    for (const url of [
      "app://sealwright/index.html",
      "app://sealwright/../package.json",
      "app://sealwright/%2e%2e/package.json",
      "app://sealwright/assets/",
      "app://sealwright/?x",
      "app://other/",
    ])
      expect((await ask(url)).status, url).toBe(404)
    expect((await ask("app://sealwright/", "POST")).status).toBe(405)
  })
})

describe("a message", () => {
  const strangers = () => {
    const own = ownSender()
    const other = new FakeContents()
    other.mainFrame.url = "app://sealwright/"
    return [
      { name: "other contents", sender: other, senderFrame: other.mainFrame },
      {
        name: "a frame inside",
        sender: own.sender,
        senderFrame: new FakeFrame("app://sealwright/", own.senderFrame),
      },
      { name: "another page", sender: own.sender, senderFrame: new FakeFrame("https://example.com/") },
      { name: "another host", sender: own.sender, senderFrame: new FakeFrame("app://sealwright.example/") },
      { name: "a frame that is gone", sender: own.sender, senderFrame: null },
    ]
  }

  test("of anybody but the window's own page gets no port, no reference and no effect", async () => {
    await startShell()
    let ports = 0
    page.on(CHANNELS.port, () => (ports += 1))
    for (const stranger of strangers()) {
      ipcMain.emit(CHANNELS.port, stranger)
      ipcMain.emit(CHANNELS.progress, stranger, 0.5)
      ipcMain.emit(CHANNELS.notify, stranger, { title: "a", body: "b" })
      const answer = await ipcMain.handlers.get(CHANNELS.refer)?.(stranger, "/etc/passwd")
      expect(answer, stranger.name).toMatchObject({ kind: "refused", code: "USAGE" })
    }
    expect(ports).toBe(0)
    expect(window().progress).toBeNull()
    expect(world.notices).toEqual([])
    ipcMain.emit(CHANNELS.port, ownSender())
    expect(ports).toBe(1)
  })

  test("that does not have its form has no effect", async () => {
    await startShell()
    for (const share of [2, -1, Number.NaN, "1", undefined, {}])
      ipcMain.emit(CHANNELS.progress, ownSender(), share)
    expect(window().progress).toBeNull()
    for (const notice of [
      null,
      "x",
      { title: "x" },
      { title: "x", body: "y".repeat(501) },
      { title: "x", body: "y", icon: "/etc/passwd" },
    ])
      ipcMain.emit(CHANNELS.notify, ownSender(), notice)
    expect(world.notices).toEqual([])
    for (const file of ["", 7, null, "x".repeat(5000)])
      expect(await ipcMain.handlers.get(CHANNELS.refer)?.(ownSender(), file)).toMatchObject({
        kind: "refused",
        code: "FILE_NOT_FOUND",
      })
  })

  test("of the window shows progress in the taskbar, takes it away, and notifies", async () => {
    await startShell()
    ipcMain.emit(CHANNELS.progress, ownSender(), 0.25)
    expect(window().progress).toBe(0.25)
    ipcMain.emit(CHANNELS.progress, ownSender(), null)
    expect(window().progress).toBe(-1)
    ipcMain.emit(CHANNELS.notify, ownSender(), { title: "Sealwright", body: "Finished: Protect" })
    expect(world.notices.map(({ text }) => text)).toEqual([
      { title: "Sealwright", body: "Finished: Protect" },
    ])
  })
})

describe("the menus", () => {
  const item = (label: string) =>
    world.menu.flatMap(({ submenu = [] }) => submenu).find((each) => each.label === label)

  test("open files where they lie, and nothing when the user leaves the dialog", async () => {
    await startShell()
    const arrived: unknown[] = []
    page.on(CHANNELS.opened, (_event, files) => arrived.push(files))
    ipcMain.emit(CHANNELS.port, ownSender())
    item("&Open…")?.click?.()
    world.chosen = [path.join(pages, "index.html")]
    await vi.waitFor(() => expect(window().focused).toBe(1)) // the window comes to the front either way
    item("&Open…")?.click?.()
    await vi.waitFor(() => expect(arrived).toMatchObject([[{ name: "index.html" }]]))
  })

  test("offer what their place offers: editing in a field, copying of what is marked, else nothing", async () => {
    await startShell()
    const roles = (isEditable: boolean, selectionText: string) => {
      world.popup = []
      window().webContents.emit("context-menu", new FakeEvent(), { isEditable, selectionText })
      return world.popup.map(({ role }) => role)
    }
    expect(roles(true, "")).toEqual(["cut", "copy", "paste"])
    expect(roles(false, "a digest")).toEqual(["copy"])
    expect(roles(false, "")).toEqual([])
  })
})

describe("one instance", () => {
  test("comes to the front, out of the taskbar, when it is started again or its notice is clicked", async () => {
    await startShell()
    window().isMin = true
    app.emit("second-instance", new FakeEvent(), ["sealwright"], "/")
    expect(window().isMin).toBe(false)
    expect(window().focused).toBeGreaterThan(0)
    window().isMin = true
    ipcMain.emit(CHANNELS.notify, ownSender(), { title: "Sealwright", body: "Finished: Protect" })
    world.notices[0]?.emit("click")
    expect(window().isMin).toBe(false)
  })

  test("makes its window anew where a program outlives it", async () => {
    await startShell()
    const first = window()
    first.emit("closed")
    app.emit("activate")
    expect(window()).not.toBe(first)
    expect(window().options.webPreferences.sandbox).toBe(true)
  })

  test("leaves at once when another has the lock", async () => {
    world.hasLock = false
    await startShell()
    expect(world.hasQuit).toBe(true)
    expect(world.windows).toEqual([])
    expect(started).toEqual([])
  })

  test("takes the files of a second start, and no switch, link or folder", async () => {
    const folder = temporaryFolder()
    writeFileSync(path.join(folder, "a.seal"), "")
    writeFileSync(path.join(folder, "-e.seal"), "")
    writeFileSync(path.join(folder, "b.txt"), "")
    mkdirSync(path.join(folder, "c.seal"))
    expect(
      filesNamed(["-e.seal", "sealwright://a.seal", "a.seal", "b.txt", "c.seal", "d.seal"], folder),
    ).toEqual([path.join(folder, "a.seal")])
    await startShell()
    const arrived = new Promise((resolve) => page.once(CHANNELS.opened, (_event, files) => resolve(files)))
    app.emit("second-instance", new FakeEvent(), ["sealwright", "a.seal"], folder)
    // Nobody listens before the page has its port; then it is told.
    ipcMain.emit(CHANNELS.port, ownSender())
    expect(await arrived).toEqual([{ file: "0123456789abcdef", name: "a.seal", bytes: 0 }])
  })

  test("opens no link of another program, and takes a file macOS names", async () => {
    await startShell()
    const link = new FakeEvent()
    app.emit("open-url", link, "sealwright://x")
    expect(link.isPrevented).toBe(true)
    const file = new FakeEvent()
    const arrived = new Promise((resolve) => page.once(CHANNELS.opened, (_event, files) => resolve(files)))
    ipcMain.emit(CHANNELS.port, ownSender())
    app.emit("open-file", file, path.join(pages, "index.html"))
    expect(file.isPrevented).toBe(true)
    expect(await arrived).toMatchObject([{ name: "index.html" }])
  })
})

describe("the window's place", () => {
  const stateFile = () => path.join(world.userData, "window.json")

  test("is kept, and taken again at the next start", async () => {
    writeFileSync(stateFile(), JSON.stringify({ x: 30, y: 40, width: 1000, height: 700, isMaximised: true }))
    await startShell()
    expect(window().options).toMatchObject({ x: 30, y: 40, width: 1000, height: 700 })
    expect(window().isMax).toBe(true)
    window().close()
    await vi.waitFor(() => expect(world.hasQuit).toBe(true))
    expect(JSON.parse(readFileSync(stateFile(), "utf8"))).toEqual({
      x: 30,
      y: 40,
      width: 1000,
      height: 700,
      isMaximised: true,
    })
  })

  test("is the first one when it would be out of sight or the file says nonsense", async () => {
    for (const text of [
      "",
      "[]",
      `{"x":5000,"y":0,"width":900,"height":600,"isMaximised":false}`,
      `{"x":0,"y":0,"width":9,"height":1e9}`,
    ]) {
      writeFileSync(stateFile(), text)
      await startShell()
      expect(window().options, text).toMatchObject({ width: 1180, height: 760 })
    }
  })
})

describe("the end", () => {
  test("asks before it takes running jobs with it, and stays when told to", async () => {
    await startShell()
    running.push({ title: "Protect model.onnx", state: "running" }, { title: "Verify", state: "done" })
    window().close()
    await vi.waitFor(() => expect(world.questions).toHaveLength(1))
    expect(world.questions[0]?.detail).toContain("Protect model.onnx")
    expect(world.questions[0]?.detail).not.toContain("Verify")
    app.quit()
    await vi.waitFor(() => expect(world.questions).toHaveLength(2))
    expect(world.hasQuit).toBe(false)
    world.answer = 1
    app.quit()
    await vi.waitFor(() => expect(world.hasQuit).toBe(true))
  })

  test("says so when the window's process ends, and loads the window again", async () => {
    await startShell()
    window().webContents.emit("render-process-gone", new FakeEvent(), { reason: "crashed" })
    expect(world.errors).toHaveLength(1)
    expect(window().webContents.reloads).toBe(1)
  })
})

test("the engine gets an environment that loads nothing into it", async () => {
  vi.stubEnv("NODE_OPTIONS", "--require=/tmp/x.js")
  vi.stubEnv("ELECTRON_RUN_AS_NODE", "1")
  vi.stubEnv("SEALWRIGHT_HOME", "/home/x")
  await startShell()
  vi.unstubAllEnvs()
  const { env } = started[0] as { readonly env: NodeJS.ProcessEnv }
  expect(Object.keys(env)).toContain("SEALWRIGHT_HOME")
  expect(Object.keys(env).filter((name) => /^(NODE_OPTIONS|ELECTRON_)/.test(name))).toEqual([])
})
