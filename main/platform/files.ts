/** Files by reference: opening safely, and outputs that appear complete or not at all. */
import { randomBytes } from "node:crypto"
import { constants, type Stats } from "node:fs"
import { link, lstat, mkdir, open, readdir, rename, rm, unlink, type FileHandle } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../contract/errors.ts"
import { fileRefSchema, type FileRef } from "../contract/schema/base.ts"
import type { Files, OpenFile, PendingFile } from "../services/ports.ts"
import { isRunning } from "./running-process.ts"

export function localFiles(): Files & { pathOf(this: void, file: FileRef): string } {
  const paths = new Map<FileRef, string>()
  const pathOf = (file: FileRef): string => {
    const found = paths.get(file)
    if (found === undefined) throw new AppError("FILE_NOT_FOUND", "the file reference is not known")
    return found
  }
  const refer = (filePath: string, as: FileRef | null = null): FileRef => {
    checkUtf8(filePath)
    const ref = as ?? fileRefSchema.parse(randomBytes(16).toString("hex"))
    paths.set(ref, path.resolve(filePath))
    return ref
  }
  return {
    refer,
    pathOf,
    open: async (file) => openRegular(pathOf(file)),
    openBeside: async (beside, name) => openInside(path.dirname(pathOf(beside)), name),
    create: async (file, options) => createPending(pathOf(file), options),
    createBeside: async (beside, name, options) => {
      const folder = path.dirname(pathOf(beside))
      const target = path.join(folder, ...name.split("/"))
      await makeFolder(path.dirname(target))
      return createPending(target, options)
    },
    inFolder: async (folder, name) => {
      await makeFolder(pathOf(folder))
      return refer(path.join(pathOf(folder), name))
    },
    beside: (file, name) => refer(path.join(path.dirname(pathOf(file)), path.basename(name))),
    nameOf: (file) => path.basename(pathOf(file)),
    remove: async (file) => {
      const target = pathOf(file)
      await attemptWrite(path.basename(target), async () => rm(target, { force: true }))
    },
  }
}

/** The path behind a reference is only for code that lives on this side of the port. */
export async function openRegular(filePath: string): Promise<OpenFile> {
  checkUtf8(filePath)
  // Opening a pipe would wait for its writer; with O_NONBLOCK it returns and is refused below.
  const handle = await attempt(filePath, async () =>
    open(filePath, constants.O_RDONLY | constants.O_NONBLOCK),
  )
  return asOpenFile(handle, path.basename(filePath))
}

async function asOpenFile(handle: FileHandle, name: string): Promise<OpenFile> {
  const stats = await handle.stat()
  if (!stats.isFile()) {
    await handle.close()
    throw new AppError("FILE_NOT_REGULAR", `${name} is not a regular file`)
  }
  return {
    number: handle.fd,
    name,
    size: stats.size,
    read: async (offset, length) => readFully(handle, name, offset, length),
    async checkUnchanged() {
      if (!isSame(stats, await handle.stat())) throw changed(name)
    },
    close: async () => handle.close(),
  }
}

async function readFully(
  handle: FileHandle,
  name: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length)
  for (let done = 0; done < length;) {
    const { bytesRead } = await attempt(name, async () =>
      handle.read(bytes, done, length - done, offset + done),
    )
    if (bytesRead === 0) throw changed(name)
    done += bytesRead
  }
  return bytes
}

/** Opens `name` below `folder`, refusing links on every step, so that no part of the way can lead outside. */
async function openInside(folder: string, name: string): Promise<OpenFile> {
  const segments = name.split("/")
  let at = folder
  for (const [index, segment] of segments.entries()) {
    at = path.join(at, segment)
    const stats = await missingAsNull(at)
    if (stats === null)
      throw new AppError("ONNX_EXTERNAL_MISSING", `the external data file ${name} is missing`)
    const isExpected = index === segments.length - 1 ? stats.isFile() : stats.isDirectory()
    if (!isExpected)
      throw new AppError("ONNX_EXTERNAL_OUTSIDE", `the external data ${name} is a link or not a regular file`)
  }
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  return asOpenFile(await attempt(name, async () => open(at, flags)), path.basename(at))
}

async function createPending(
  target: string,
  { replace, isSecret }: { readonly replace: boolean; readonly isSecret: boolean },
): Promise<PendingFile> {
  checkUtf8(target)
  const name = path.basename(target)
  const existing = await missingAsNull(target)
  if (existing !== null && !replace) throw exists(name)
  if (existing?.isDirectory() === true) throw new AppError("OUTPUT_UNWRITABLE", `${name} is a folder`)
  await removeAbandoned(target)
  const partial = `${partialPrefix(target)}${process.pid}-${randomBytes(6).toString("hex")}${PARTIAL_SUFFIX}`
  const handle = await attemptWrite(name, async () => open(partial, "wx+", isSecret ? 0o600 : 0o666))
  let isSettled = false
  const discard = async () => {
    if (isSettled) return
    isSettled = true
    await handle.close()
    await unlink(partial)
  }
  return {
    number: handle.fd,
    write: async (offset, bytes) => {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await attemptWrite(name, async () =>
          handle.write(bytes, done, bytes.length - done, offset + done),
        )
        done += bytesWritten
      }
    },
    read: async (offset, length) => readFully(handle, name, offset, length),
    discard,
    async commit() {
      await attemptWrite(name, async () => handle.sync())
      await publish(partial, target, replace)
      isSettled = true
      await handle.close()
      await syncFolder(path.dirname(target))
    },
  }
}

/** Gives the file its name. A hard link cannot replace a file that appeared meanwhile; a rename could. */
async function publish(partial: string, target: string, replace: boolean): Promise<void> {
  const name = path.basename(target)
  if (!replace) {
    try {
      await link(partial, target)
    } catch (error) {
      if (codeOf(error) === "EEXIST") throw exists(name)
      if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(codeOf(error)))
        throw writeError(name, error)
      // A volume without hard links (FAT, some network shares): the last moment to look is the best there is.
      if ((await missingAsNull(target)) !== null) throw exists(name)
      await attemptWrite(name, async () => rename(partial, target))
      return
    }
    await unlink(partial)
    return
  }
  await attemptWrite(name, async () => rename(partial, target))
}

const PARTIAL_SUFFIX = ".partial"

function partialPrefix(target: string): string {
  return path.join(path.dirname(target), `.${path.basename(target)}.`)
}

/** Removes what a killed process left for the same target. The process number in the name says whether it still runs. */
async function removeAbandoned(target: string): Promise<void> {
  const folder = path.dirname(target)
  const prefix = path.basename(partialPrefix(target))
  const names = await attemptWrite(path.basename(target), async () => readdir(folder))
  for (const name of names) {
    if (!name.startsWith(prefix) || !name.endsWith(PARTIAL_SUFFIX)) continue
    const pid = Number(name.slice(prefix.length).split("-")[0])
    if (Number.isInteger(pid) && pid > 0 && !isRunning(pid)) await unlink(path.join(folder, name))
  }
}

async function makeFolder(folder: string): Promise<void> {
  await attemptWrite(path.basename(folder), async () => mkdir(folder, { recursive: true }))
}

/** So that the name survives a power cut as well as the content. Not every platform can. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return
  const handle = await open(folder, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function missingAsNull(filePath: string): Promise<Stats | null> {
  try {
    return await lstat(filePath)
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null
    throw readError(path.basename(filePath), error)
  }
}

/** Node replaces bytes of a name that are not UTF-8, so the file behind such a path is not the one that was meant. */
function checkUtf8(filePath: string): void {
  if (filePath.includes("\ufffd") || !filePath.isWellFormed()) {
    throw new AppError("PATH_NOT_UTF8", "the path is not valid UTF-8")
  }
  if (filePath.includes("\0")) throw new AppError("FILE_NOT_FOUND", "the path holds a zero byte")
}

function isSame(a: Stats, b: Stats): boolean {
  return a.size === b.size && a.mtimeMs === b.mtimeMs && a.ino === b.ino
}

async function attempt<T>(name: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw readError(path.basename(name), error)
  }
}

async function attemptWrite<T>(name: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw writeError(name, error)
  }
}

export function readError(name: string, error: unknown): unknown {
  const code = codeOf(error)
  if (code === "ENOENT") return new AppError("FILE_NOT_FOUND", `${name} does not exist`, { cause: error })
  if (code === "ENOTDIR")
    return new AppError("FILE_NOT_FOUND", `${name} is below something that is not a folder`, { cause: error })
  if (code.startsWith("E"))
    return new AppError("FILE_UNREADABLE", `${name} cannot be read (${code})`, { cause: error })
  return error
}

export function writeError(name: string, error: unknown): unknown {
  const code = codeOf(error)
  if (["ENOSPC", "EDQUOT", "EFBIG"].includes(code)) {
    return new AppError("NO_SPACE", `the volume is full while writing ${name}`, { cause: error })
  }
  if (code.startsWith("E"))
    return new AppError("OUTPUT_UNWRITABLE", `${name} cannot be written (${code})`, { cause: error })
  return error
}

function exists(name: string): AppError {
  return new AppError("OUTPUT_EXISTS", `${name} exists already`)
}

function changed(name: string): AppError {
  return new AppError("FILE_CHANGED", `${name} changed while it was read`)
}

export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : ""
}
