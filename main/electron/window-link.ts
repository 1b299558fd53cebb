/** The messages of the one window: each is checked for who sent it and what it holds before anything happens. */
import { ipcMain, MessageChannelMain, Notification, type BrowserWindow, type WebFrameMain } from "electron"
import { RPCHandler } from "@orpc/server/message-port"
import { z } from "zod"
import type { ReferAnswer } from "../contract/desktop.ts"
import { AppError, toAppError } from "../contract/errors.ts"
import type { WindowRouter } from "../contract/window-server.ts"
import type { EngineSupervisor } from "../platform/engine-supervisor.ts"
import { isOurs } from "./app-scheme.ts"
import { CHANNELS } from "./channels.ts"
import type { OpenedFiles } from "./opened-files.ts"

const pathSchema = z.string().min(1).max(4096)
const shareSchema = z.number().min(0).max(1).nullable()
const noticeSchema = z.strictObject({ title: z.string().max(100), body: z.string().max(500) })

export interface WindowLinkParts {
  readonly router: WindowRouter
  readonly supervisor: EngineSupervisor
  readonly opened: OpenedFiles
  /** The window of the moment. */
  readonly window: () => BrowserWindow | null
  readonly show: () => void
}

interface Sender {
  readonly sender: { readonly id: number }
  readonly senderFrame: WebFrameMain | null
}

/** Listens for as long as the program runs; a message of anybody but the window's own page is passed over. */
export function linkWindow({ router, supervisor, opened, window, show }: WindowLinkParts): void {
  const handler = new RPCHandler(router)
  let notice: Notification | null = null // kept, or its click would be lost with it
  /** The frame that has a port and so can be told of files. */
  let reader: WebFrameMain | null = null

  /** The top frame of the window's contents, showing our page; `null` for anybody else. */
  const ownFrame = ({ sender, senderFrame }: Sender): WebFrameMain | null => {
    const isWindow = sender.id === window()?.webContents.id
    return isWindow && senderFrame !== null && senderFrame.parent === null && isOurs(senderFrame.url)
      ? senderFrame
      : null
  }
  const deliver = async () => {
    if (reader === null) return
    try {
      const files = await opened.take(supervisor)
      if (files.length > 0 && !reader.isDestroyed()) reader.send(CHANNELS.opened, files)
    } catch {
      // No engine runs, and the window says so. What was opened waits for the next one.
    }
  }
  opened.onAdded(() => {
    show()
    void deliver()
  })

  ipcMain.on(CHANNELS.port, (event) => {
    const frame = ownFrame(event)
    if (frame === null) return
    const { port1, port2 } = new MessageChannelMain()
    handler.upgrade(port1, { context: {} })
    port1.start()
    frame.postMessage(CHANNELS.port, null, [port2])
    reader = frame
    void deliver()
  })
  ipcMain.handle(CHANNELS.refer, async (event, path: unknown): Promise<ReferAnswer> => {
    try {
      if (ownFrame(event) === null) throw new AppError("USAGE", "the request is not the window's")
      const parsed = pathSchema.safeParse(path)
      if (!parsed.success) throw new AppError("FILE_NOT_FOUND", "the file has no place on this computer")
      return { kind: "known", file: await supervisor.refer(parsed.data) }
    } catch (error) {
      const { code, message } = toAppError(error)
      return { kind: "refused", code, message }
    }
  })
  ipcMain.on(CHANNELS.progress, (event, share: unknown) => {
    const parsed = shareSchema.safeParse(share)
    // Below 0 takes the bar away.
    if (ownFrame(event) !== null && parsed.success) window()?.setProgressBar(parsed.data ?? -1)
  })
  ipcMain.on(CHANNELS.notify, (event, message: unknown) => {
    const parsed = noticeSchema.safeParse(message)
    if (ownFrame(event) === null || !parsed.success || !Notification.isSupported()) return
    notice = new Notification(parsed.data)
    notice.on("click", show)
    notice.show()
  })
}
