/** The native menus. What the window itself offers is found in its palette. */
import { app, dialog, Menu, type BrowserWindow, type MenuItemConstructorOptions } from "electron"
import type { OpenedFiles } from "./opened-files.ts"

const FILTERS = [
  { name: "Models and packages", extensions: ["onnx", "ort", "seal"] },
  { name: "Test data", extensions: ["npy"] },
  { name: "All files", extensions: ["*"] },
]

export function setMenu(opened: OpenedFiles, window: () => BrowserWindow | null): void {
  const isMac = process.platform === "darwin"
  const template: MenuItemConstructorOptions[] = [
    ...(isMac ? [{ role: "appMenu" } as const] : []),
    {
      label: "&File",
      submenu: [
        { label: "&Open…", accelerator: "CmdOrCtrl+O", click: () => void open(opened, window()) },
        { type: "separator" },
        isMac ? { role: "close" } : { role: "quit" },
      ],
    },
    { role: "editMenu" },
    {
      label: "&View",
      submenu: [
        { role: "resetZoom" },
        { role: "zoomIn" },
        { role: "zoomOut" },
        { type: "separator" },
        { role: "togglefullscreen" },
        // The inspector sees everything the window does: it is for those who build it.
        ...(app.isPackaged ? [] : [{ role: "toggleDevTools" } as const]),
      ],
    },
    { role: "windowMenu" },
  ]
  Menu.setApplicationMenu(Menu.buildFromTemplate(template))
}

/** Cut, copy and paste where they make sense. */
export function setContextMenu(window: BrowserWindow): void {
  window.webContents.on("context-menu", (_event, { isEditable, selectionText }) => {
    const items: MenuItemConstructorOptions[] = [
      ...(isEditable ? [{ role: "cut" } as const] : []),
      ...(isEditable || selectionText !== "" ? [{ role: "copy" } as const] : []),
      ...(isEditable ? [{ role: "paste" } as const] : []),
    ]
    if (items.length > 0) Menu.buildFromTemplate(items).popup({ window })
  })
}

async function open(opened: OpenedFiles, window: BrowserWindow | null): Promise<void> {
  const options = {
    properties: ["openFile", "multiSelections"] as ("openFile" | "multiSelections")[],
    filters: FILTERS,
  }
  const { filePaths } = await (window === null
    ? dialog.showOpenDialog(options)
    : dialog.showOpenDialog(window, options))
  opened.add(filePaths)
}
