/** What pages in this program may not do, whatever they are: everything that the one window does not need. */
import { app, type BrowserWindowConstructorOptions, type Session } from "electron"
import { isOurs, WINDOW_URL } from "./app-scheme.ts"

/**
 * Chromium's own ways in. The inspector's fuses close Node's; a debugging port would be open to every account of this computer, and
 * hands out the window with all it may ask.
 */
const DEBUGGING_SWITCHES = ["remote-debugging-port", "remote-debugging-pipe", "remote-allow-origins"]

/** What a page asks before it writes text to the clipboard. Chromium wants a click for it, and reading is another permission. */
const COPYING = "clipboard-sanitized-write"

/** Before the program is ready. Every renderer runs in the system's sandbox, and no name is ever looked up in a network. */
export function hardenProgram(): void {
  app.enableSandbox()
  app.commandLine.appendSwitch("host-resolver-rules", "MAP * ~NOTFOUND")
  if (app.isPackaged) for (const name of DEBUGGING_SWITCHES) app.commandLine.removeSwitch(name)
  // Also of a session that nobody here makes.
  app.on("session-created", hardenSession)
  app.on("web-contents-created", (_event, contents) => {
    contents.setWindowOpenHandler(() => ({ action: "deny" }))
    for (const event of ["will-navigate", "will-frame-navigate", "will-redirect"] as const)
      contents.on(event as "will-navigate", (details) => {
        if (details.url !== WINDOW_URL) details.preventDefault()
      })
    contents.on("will-attach-webview", (event) => event.preventDefault())
  })
  // Links of other programs open nothing here.
  app.on("open-url", (event) => event.preventDefault())
}

/** Permissions, devices, screens and downloads are refused, but for copying; requests go to our own scheme or nowhere. */
export function hardenSession(session: Session): void {
  session.setPermissionRequestHandler((contents, permission, decide) => {
    decide(permission === COPYING && isOurs(contents.getURL()))
  })
  session.setPermissionCheckHandler(
    (_contents, permission, origin) => permission === COPYING && isOurs(origin),
  )
  session.setDevicePermissionHandler(() => false)
  session.setDisplayMediaRequestHandler((_request, decide) => decide(null))
  session.on("will-download", (event) => event.preventDefault())
  session.webRequest.onBeforeRequest(({ url }, decide) => {
    decide({ cancel: !isOurs(url) && !url.startsWith("data:") && !isInspector(url) })
  })
}

export function webPreferences(
  preload: string,
): NonNullable<BrowserWindowConstructorOptions["webPreferences"]> {
  return {
    preload,
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
    // Its dictionaries would be fetched from a network.
    spellcheck: false,
    safeDialogs: true,
    devTools: !app.isPackaged,
  }
}

/** The inspector of a program run from source has pages of its own. */
function isInspector(url: string): boolean {
  return !app.isPackaged && url.startsWith("devtools://")
}
