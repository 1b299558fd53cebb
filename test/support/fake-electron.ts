/**
 * Electron as the shell sees it, for machines without its program: every setting is kept where a test can look at it, events are
 * sent by hand, and ports are real ones. Use: `vi.mock("electron", async () => import("../support/fake-electron.ts"))`.
 */
import { EventEmitter } from "node:events"
import { MessageChannel, type MessagePort } from "node:worker_threads"
import type { WebPreferences } from "electron"
import { ROOT } from "./workspace.ts"

/** What the shell did, and what the user and the system answer. */
export const world = {
  userData: "",
  documents: "",
  hasLock: true,
  isReady: false,
  /** In the order they happened. */
  beforeReady: [] as string[],
  schemes: [] as { scheme: string; privileges: Record<string, boolean> }[],
  windows: [] as BrowserWindow[],
  notices: [] as Notification[],
  opened: [] as string[],
  shown: [] as string[],
  questions: [] as { message?: string; detail?: string; buttons?: string[] }[],
  errors: [] as string[],
  answer: 0,
  chosen: [] as string[],
  savePath: "",
  menu: [] as MenuItem[],
  /** The menu the user was shown last, by its items. */
  popup: [] as MenuItem[],
  hasQuit: false,
  displays: [{ workArea: { x: 0, y: 0, width: 1920, height: 1080 } }],
}

/** As much of a menu's item as tests look at. */
export interface MenuItem {
  readonly label?: string
  readonly role?: string
  readonly submenu?: readonly MenuItem[]
  readonly click?: () => void
}

export function resetWorld(folder: string): void {
  Object.assign(world, {
    userData: folder,
    documents: `${folder}/documents`,
    hasLock: true,
    isReady: false,
    beforeReady: [],
    schemes: [],
    windows: [],
    notices: [],
    opened: [],
    shown: [],
    questions: [],
    errors: [],
    answer: 0,
    chosen: [],
    savePath: "",
    menu: [],
    popup: [],
    hasQuit: false,
    displays: [{ workArea: { x: 0, y: 0, width: 1920, height: 1080 } }],
  })
  app.removeAllListeners()
  app.isPackaged = false
  ipcMain.removeAllListeners()
  ipcMain.handlers.clear()
  session.defaultSession = new FakeSession()
  page.removeAllListeners()
}

export class FakeEvent {
  isPrevented = false
  preventDefault(): void {
    this.isPrevented = true
  }
}

class FakeApp extends EventEmitter {
  isPackaged = false
  readonly commandLine = {
    appendSwitch: (name: string, value: string) => note(`switch ${name}=${value}`),
    removeSwitch: (name: string) => note(`no switch ${name}`),
  }
  enableSandbox(): void {
    note("sandbox")
  }
  requestSingleInstanceLock(): boolean {
    note("lock")
    return world.hasLock
  }
  async whenReady(): Promise<void> {
    await Promise.resolve()
    world.isReady = true
  }
  getAppPath(): string {
    return ROOT
  }
  getPath(name: string): string {
    return name === "userData" ? world.userData : world.documents
  }
  quit(): void {
    const event = new FakeEvent()
    this.emit("before-quit", event)
    if (!event.isPrevented) world.hasQuit = true
  }
}
export const app = new FakeApp()

function note(fact: string): void {
  if (!world.isReady) world.beforeReady.push(fact)
}

export const protocol = {
  registerSchemesAsPrivileged(schemes: typeof world.schemes): void {
    note("schemes")
    world.schemes = schemes
  },
}

type Decide<T> = (answer: T) => void
type PermissionRequest = (contents: FakeContents, permission: string, decide: Decide<boolean>) => void
type PermissionCheck = (contents: FakeContents | null, permission: string, origin: string) => boolean
type BeforeRequest = (details: { readonly url: string }, decide: Decide<{ cancel?: boolean }>) => void

export class FakeSession extends EventEmitter {
  readonly schemes = new Map<string, (request: Request) => Response | Promise<Response>>()
  readonly protocol = {
    handle: (scheme: string, answer: (request: Request) => Response | Promise<Response>) =>
      void this.schemes.set(scheme, answer),
  }
  onPermission: PermissionRequest | null = null
  checkPermission: PermissionCheck | null = null
  checkDevice: (() => boolean) | null = null
  onDisplayMedia: ((request: object, decide: Decide<object | null>) => void) | null = null
  beforeRequest: BeforeRequest | null = null
  readonly webRequest = { onBeforeRequest: (listener: BeforeRequest) => void (this.beforeRequest = listener) }
  setPermissionRequestHandler(handler: PermissionRequest): void {
    this.onPermission = handler
  }
  setPermissionCheckHandler(handler: PermissionCheck): void {
    this.checkPermission = handler
  }
  setDevicePermissionHandler(handler: () => boolean): void {
    this.checkDevice = handler
  }
  setDisplayMediaRequestHandler(handler: (request: object, decide: Decide<object | null>) => void): void {
    this.onDisplayMedia = handler
  }
}
export const session = { defaultSession: new FakeSession() }

/** The page's side: `page` is the preload's ipcRenderer, wherever that runs. */
export const page = new EventEmitter()

export class FakeFrame {
  url: string
  readonly parent: FakeFrame | null
  constructor(url: string, parent: FakeFrame | null = null) {
    this.url = url
    this.parent = parent
  }
  isDestroyed(): boolean {
    return false
  }
  postMessage(channel: string, _message: unknown, ports: readonly MessagePortMain[] = []): void {
    page.emit(channel, { ports: ports.map(({ port }) => port) })
  }
  send(channel: string, ...args: readonly unknown[]): void {
    page.emit(channel, { ports: [] }, ...args)
  }
}

let nextContents = 1

export class FakeContents extends EventEmitter {
  readonly id = nextContents++
  readonly mainFrame = new FakeFrame("about:blank")
  openWindow: ((details: { readonly url: string }) => { readonly action: string }) | null = null
  reloads = 0
  setWindowOpenHandler(handler: NonNullable<FakeContents["openWindow"]>): void {
    this.openWindow = handler
  }
  getURL(): string {
    return this.mainFrame.url
  }
  reload(): void {
    this.reloads += 1
  }
}

interface WindowOptions {
  readonly x?: number
  readonly y?: number
  readonly width: number
  readonly height: number
  readonly webPreferences: WebPreferences
}

export class BrowserWindow extends EventEmitter {
  readonly options: WindowOptions
  readonly webContents = new FakeContents()
  progress: number | null = null
  isShown = false
  isMax = false
  isMin = false
  focused = 0
  constructor(options: WindowOptions) {
    super()
    this.options = options
    world.windows.push(this)
    app.emit("web-contents-created", new FakeEvent(), this.webContents)
  }
  async loadURL(url: string): Promise<void> {
    this.webContents.mainFrame.url = url
    this.emit("ready-to-show")
  }
  show(): void {
    this.isShown = true
  }
  focus(): void {
    this.focused += 1
  }
  isMinimized(): boolean {
    return this.isMin
  }
  restore(): void {
    this.isMin = false
  }
  maximize(): void {
    this.isMax = true
  }
  isMaximized(): boolean {
    return this.isMax
  }
  getNormalBounds() {
    const { x = 0, y = 0, width, height } = this.options
    return { x, y, width, height }
  }
  setProgressBar(share: number): void {
    this.progress = share
  }
  destroy(): void {
    this.emit("closed")
    app.emit("window-all-closed")
  }
  /** As the user does. */
  close(): void {
    const event = new FakeEvent()
    this.emit("close", event)
    if (!event.isPrevented) this.destroy()
  }
}

class FakeIpcMain extends EventEmitter {
  readonly handlers = new Map<string, (event: object, ...args: unknown[]) => unknown>()
  handle(channel: string, handler: (event: object, ...args: unknown[]) => unknown): void {
    this.handlers.set(channel, handler)
  }
}
export const ipcMain = new FakeIpcMain()

/** The shape of Electron's port over a real one. */
class MessagePortMain {
  readonly port: MessagePort
  constructor(port: MessagePort) {
    this.port = port
  }
  on(event: string, listener: (event?: { readonly data: unknown }) => void): void {
    if (event === "message") this.port.on("message", (data: unknown) => listener({ data }))
    else this.port.on(event, () => listener())
  }
  postMessage(data: unknown): void {
    this.port.postMessage(data)
  }
  start(): void {
    this.port.start()
  }
}

export class MessageChannelMain {
  readonly port1: MessagePortMain
  readonly port2: MessagePortMain
  constructor() {
    const { port1, port2 } = new MessageChannel()
    this.port1 = new MessagePortMain(port1)
    this.port2 = new MessagePortMain(port2)
  }
}

export class Notification extends EventEmitter {
  readonly text: { readonly title: string; readonly body: string }
  static isSupported(): boolean {
    return true
  }
  constructor(text: { readonly title: string; readonly body: string }) {
    super()
    this.text = text
  }
  show(): void {
    world.notices.push(this)
  }
}

export const dialog = {
  showErrorBox: (title: string, text: string) => void world.errors.push(`${title}: ${text}`),
  async showMessageBox(...args: readonly unknown[]) {
    world.questions.push(args.at(-1) as (typeof world.questions)[number]) // its options
    return { response: world.answer }
  },
  showOpenDialog: async () => ({ canceled: world.chosen.length === 0, filePaths: world.chosen }),
  showSaveDialog: async () => ({ canceled: world.savePath === "", filePath: world.savePath }),
}

export const shell = {
  showItemInFolder: (file: string) => void world.shown.push(file),
  async openPath(file: string) {
    world.opened.push(file)
    return ""
  },
}

export const screen = { getAllDisplays: () => world.displays }
export const nativeTheme = { shouldUseDarkColors: false }
export const Menu = {
  buildFromTemplate: (template: MenuItem[]) => ({ template, popup: () => void (world.popup = template) }),
  setApplicationMenu: ({ template }: { readonly template: MenuItem[] }) => void (world.menu = template),
}

/** Where the page's script finds what the preload gave it. */
export const exposed = new Map<string, unknown>()
export const contextBridge = {
  exposeInMainWorld: (name: string, value: unknown) => void exposed.set(name, value),
}
/** Paths of files as the system knows them; a file that a script made has none. */
export const paths = new WeakMap<object, string>()
export const webUtils = { getPathForFile: (file: object) => paths.get(file) ?? "" }

/** The window's own page, sending; `frame` and `contents` stand for somebody else when given. */
export const ipcRenderer = {
  on: (channel: string, listener: (...args: unknown[]) => void) => void page.on(channel, listener),
  send: (channel: string, ...args: readonly unknown[]) => void ipcMain.emit(channel, ownSender(), ...args),
  invoke: async (channel: string, ...args: readonly unknown[]) =>
    ipcMain.handlers.get(channel)?.(ownSender(), ...args),
}

export function ownSender(): { readonly sender: FakeContents; readonly senderFrame: FakeFrame } {
  const contents = world.windows.at(-1)?.webContents
  if (contents === undefined) throw new Error("there is no window")
  return { sender: contents, senderFrame: contents.mainFrame }
}
