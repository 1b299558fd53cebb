/** The desktop program: one window, one engine, and the rules between them. Everything that works is the engine's. */
import { setTimeout as sleep } from "node:timers/promises"
import { app, BrowserWindow, dialog, nativeTheme, session } from "electron"
import { windowRouter } from "../contract/window-server.ts"
import { defaultWorkspace } from "../platform/default-workspace.ts"
import { startEngineProcess } from "../platform/engine-process.ts"
import { EngineSupervisor } from "../platform/engine-supervisor.ts"
import { WindowPages } from "../platform/window-pages.ts"
import { declareScheme, servePages, WINDOW_URL } from "./app-scheme.ts"
import { desktopShell } from "./desktop-shell.ts"
import { hardenProgram, hardenSession, webPreferences } from "./hardening.ts"
import { findInstallation } from "./installation.ts"
import { setContextMenu, setMenu } from "./menu.ts"
import { OpenedFiles } from "./opened-files.ts"
import { linkWindow } from "./window-link.ts"
import { keepWindowState, readWindowState } from "./window-state.ts"

const FIRST_SIZE = { width: 1180, height: 760 }
/** `appId` of electron-builder.yml. Windows shows notifications of programs that name theirs. */
const APP_ID = "dev.sealwright.desktop"
/** How long an engine that was told to end may take before the program ends without it; it follows by itself. */
const ENGINE_END_MS = 5000
const JOBS_ANSWER_MS = 2000

/** Resolves when the window is there; at once when another instance has it. */
export async function startShell(): Promise<void> {
  declareScheme()
  hardenProgram()
  if (!app.requestSingleInstanceLock()) {
    app.quit()
    return
  }
  if (process.platform === "win32") app.setAppUserModelId(APP_ID)
  const opened = new OpenedFiles()
  const installation = findInstallation()
  const supervisor = new EngineSupervisor(() => startEngineProcess(defaultWorkspace(), installation.engine))
  let window: BrowserWindow | null = null
  let isEnding = false
  const current = () => window

  await app.whenReady()
  hardenSession(session.defaultSession)
  servePages(session.defaultSession, new WindowPages(installation.pages))
  const open = () => {
    const made = openWindow(installation.preload)
    window = made
    made.on("close", (event) => {
      keepWindowState(made)
      if (isEnding) return
      event.preventDefault()
      void endJobs(supervisor, made).then((mayEnd) => mayEnd && made.destroy())
    })
    made.on("closed", () => {
      window = null
    })
  }
  const show = () => {
    if (window === null) open()
    if (window?.isMinimized() === true) window.restore()
    window?.show()
    window?.focus()
  }
  const router = windowRouter(() => supervisor.engine, desktopShell(supervisor, installation.root, current))
  linkWindow({ router, supervisor, opened, window: current, show })
  setMenu(opened, current)
  app.on("activate", show)
  app.on("second-instance", show)
  app.on("window-all-closed", () => {
    if (process.platform !== "darwin") app.quit()
  })
  app.on("before-quit", (event) => {
    if (isEnding) return
    event.preventDefault()
    void end()
  })
  const end = async () => {
    if (!(await endJobs(supervisor, window))) return
    isEnding = true
    await Promise.race([supervisor.stop(), sleep(ENGINE_END_MS)])
    app.quit()
  }
  open()
  // An engine that does not start is seen in the window, which asks for it again with whatever is done next.
  await supervisor.run().catch(() => {})
}

function openWindow(preload: string): BrowserWindow {
  const state = readWindowState()
  const { isMaximised, ...bounds } = state ?? { ...FIRST_SIZE, isMaximised: false }
  const window = new BrowserWindow({
    ...bounds,
    minWidth: 880,
    minHeight: 560,
    title: "Sealwright",
    show: false,
    backgroundColor: nativeTheme.shouldUseDarkColors ? "#1a1b1e" : "#ffffff",
    webPreferences: webPreferences(preload),
  })
  if (isMaximised) window.maximize()
  window.once("ready-to-show", () => window.show())
  window.webContents.on("render-process-gone", (_event, { reason }) => {
    dialog.showErrorBox(
      "The window's process ended",
      `Its jobs were cancelled and left nothing behind. The window is loaded again. (${reason})`,
    )
    window.webContents.reload()
  })
  setContextMenu(window)
  void window.loadURL(WINDOW_URL)
  return window
}

/** Whether the window may go: asks when that would end jobs, naming them. */
async function endJobs(supervisor: EngineSupervisor, window: BrowserWindow | null): Promise<boolean> {
  const running = await runningJobs(supervisor)
  if (running.length === 0) return true
  const options = {
    type: "warning",
    message: running.length === 1 ? "A job is running" : `${running.length} jobs are running`,
    detail: `${running.join("\n")}\n\nEnding now cancels them. Nothing half-written is left behind.`,
    buttons: ["Keep running", "Cancel them and end"],
    defaultId: 0,
    cancelId: 0,
  } as const
  const asked = { ...options, buttons: [...options.buttons] }
  const { response } = await (window === null
    ? dialog.showMessageBox(asked)
    : dialog.showMessageBox(window, asked))
  return response === 1
}

/** An engine that does not answer has nothing worth waiting for. */
async function runningJobs(supervisor: EngineSupervisor): Promise<readonly string[]> {
  try {
    const jobs = await supervisor.engine.jobs.list(undefined, { signal: AbortSignal.timeout(JOBS_ANSWER_MS) })
    return jobs.filter(({ state }) => state === "running").map(({ title }) => title)
  } catch {
    return []
  }
}
