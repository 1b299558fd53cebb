/** The shell's part of the contract: files stay where they are, results lie beside what they were made from. */
import { access, constants, copyFile, mkdir } from "node:fs/promises"
import path from "node:path"
import { app, dialog, shell, type BrowserWindow } from "electron"
import { AppError } from "../contract/errors.ts"
import type { FileRef } from "../contract/schema/base.ts"
import type { Shell } from "../contract/window-server.ts"
import type { EngineSupervisor } from "../platform/engine-supervisor.ts"
import { codeOf, writeError } from "../platform/files.ts"
import { freeName } from "../platform/free-name.ts"
import { resultFile } from "../platform/result-file.ts"

/** `root`: the installation, where no result belongs. */
export function desktopShell(
  supervisor: EngineSupervisor,
  root: string,
  window: () => BrowserWindow | null,
): Shell {
  return {
    about: () => ({ kind: "desktop" }),
    watch: (signal) => supervisor.watch(signal),
    upload: async () => {
      throw new AppError("USAGE", "files of this computer are used where they are")
    },
    async newOutput({ name, from }) {
      const target = await freeName(await outputFolder(supervisor, root, from), name)
      return { file: await supervisor.refer(target), name: path.basename(target) }
    },
    async fetch({ file, inside, how }) {
      const { path: located } = await supervisor.engine.files.locate({ file })
      const target = await resultFile(located, inside)
      if (how === "reveal") shell.showItemInFolder(target)
      if (how === "view") await view(target)
      if (how === "save") await save(target, window())
      return { path: null }
    },
  }
}

/** Beside `from`, or in the user's documents where that is not possible. */
async function outputFolder(
  supervisor: EngineSupervisor,
  root: string,
  from: FileRef | null,
): Promise<string> {
  if (from !== null) {
    const { path: located } = await supervisor.engine.files.locate({ file: from })
    const folder = path.dirname(located)
    const isInstalled = !path.relative(root, folder).startsWith("..")
    if (!isInstalled && (await isWritable(folder))) return folder
  }
  const folder = path.join(app.getPath("documents"), "Sealwright")
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw writeError(path.basename(folder), error)
  })
  return folder
}

async function isWritable(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK).then(
    () => true,
    () => false,
  )
}

/** Reports are pages for a browser. Whatever else a system would run on opening is not looked at. */
async function view(file: string): Promise<void> {
  if (path.extname(file) !== ".html") throw new AppError("USAGE", "only a report can be looked at")
  const failure = await shell.openPath(file)
  if (failure !== "") throw new AppError("FILE_UNREADABLE", "no program of this computer shows the report")
}

/** Does nothing when the user leaves the dialog. */
async function save(file: string, window: BrowserWindow | null): Promise<void> {
  const options = { defaultPath: path.basename(file) }
  const { filePath, canceled } = await (window === null
    ? dialog.showSaveDialog(options)
    : dialog.showSaveDialog(window, options))
  if (canceled || filePath === "" || path.resolve(filePath) === file) return
  await copyFile(file, filePath).catch((error: unknown) => {
    throw codeOf(error) === "" ? error : writeError(path.basename(filePath), error)
  })
}
