/** Runs beside the page in its sandbox: hands it the port and the few things a file reference needs. Nothing of Electron goes through. */
import { contextBridge, ipcRenderer, webUtils } from "electron"
import { PORT_MESSAGE, type DesktopBridge, type OpenedFile, type ReferAnswer } from "../contract/desktop.ts"
import { CHANNELS } from "./channels.ts"

/** All this file needs of the page, without the types of a browser reaching into the shell's. */
declare const window: {
  postMessage(message: string, targetOrigin: string, transfer: readonly unknown[]): void
}

const bridge: DesktopBridge = {
  requestPort: () => ipcRenderer.send(CHANNELS.port),
  // Empty for a file that a script made up: only files of the system have a path.
  refer: async (file) =>
    ipcRenderer.invoke(CHANNELS.refer, webUtils.getPathForFile(file)) as Promise<ReferAnswer>, // the shell's answer
  onOpened: (listener) => {
    ipcRenderer.on(CHANNELS.opened, (_event, files: readonly OpenedFile[]) => listener(files))
  },
  showProgress: (share) => ipcRenderer.send(CHANNELS.progress, share),
  notify: (title, body) => ipcRenderer.send(CHANNELS.notify, { title, body }),
}

// To this document alone: its preload ends with it, and no other page is ever loaded here.
ipcRenderer.on(CHANNELS.port, (event) => window.postMessage(PORT_MESSAGE, "*", event.ports))
contextBridge.exposeInMainWorld("sealwright", bridge)
