/** Files a browser sends: kept for their owner alone in a folder that goes when the host does. */
import { randomBytes } from "node:crypto"
import { chmod, mkdir, open, readdir, rm, statfs } from "node:fs/promises"
import path from "node:path"
import type { Readable } from "node:stream"
import { AppError } from "../contract/errors.ts"

/** Left free on the volume, whatever a window announces. */
const RESERVE_BYTES = 64 << 20

/** A file that was announced and has not come yet. */
export interface Announced {
  readonly path: string
  readonly bytes: number
}

export class UploadFolder {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Makes this host's own folder below `parent` and removes those of hosts that were killed. */
  static async open(parent: string): Promise<UploadFolder> {
    await mkdir(parent, { recursive: true, mode: 0o700 })
    await chmod(parent, 0o700)
    for (const name of await readdir(parent))
      if (!isRunning(Number(name.split("-")[0])))
        await rm(path.join(parent, name), { recursive: true, force: true })
    const folder = path.join(parent, `${process.pid}-${randomBytes(6).toString("hex")}`)
    await mkdir(folder, { mode: 0o700 })
    return new UploadFolder(folder)
  }

  /** Places for files that belong together, with their relative names. Throws FILE_NAME_UNSAFE, NO_SPACE. */
  async announce(
    files: readonly { readonly name: string; readonly bytes: number }[],
  ): Promise<readonly Announced[]> {
    const names = files.map(({ name }) => checkedName(name))
    if (new Set(names).size < names.length)
      throw new AppError("FILE_NAME_UNSAFE", "two files of one upload have the same name")
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
    const { bavail, bsize } = await statfs(this.#folder)
    if (total + RESERVE_BYTES > bavail * bsize)
      throw new AppError("NO_SPACE", `${total} bytes do not fit on the volume of the workspace`)
    const folder = path.join(this.#folder, randomBytes(8).toString("hex"))
    return files.map(({ bytes }, index) => ({
      path: path.join(folder, ...(names[index] ?? "").split("/")),
      bytes,
    }))
  }

  /** Writes what comes. Anything but exactly the announced bytes leaves no file. Throws FILE_CHANGED, NO_SPACE. */
  async receive({ path: target, bytes }: Announced, stream: Readable): Promise<void> {
    await mkdir(path.dirname(target), { recursive: true, mode: 0o700 })
    const file = await open(target, "wx", 0o600)
    let received = 0
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        received += chunk.length
        if (received > bytes) break
        await file.writeFile(chunk)
      }
      if (received !== bytes)
        throw new AppError("FILE_CHANGED", `${received} bytes came where ${bytes} were announced`)
    } catch (error) {
      await rm(target, { force: true })
      const isFull = error instanceof Error && "code" in error && error.code === "ENOSPC"
      throw isFull ? new AppError("NO_SPACE", "the volume of the workspace is full", { cause: error }) : error
    } finally {
      await file.close()
    }
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** What no name may hold; Windows has more such characters than others. */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  process.platform === "win32" ? /[\u0000-\u001f\\:*?"<>|\ufffd]/ : /[\u0000-\u001f\\\ufffd]/

/** A relative name of plain segments, as a model names its external data; nothing that leads elsewhere on any system. */
function checkedName(name: string): string {
  const segments = name.split("/")
  const isSafe =
    name.isWellFormed() &&
    segments.length <= 16 &&
    segments.every(
      (segment) =>
        segment !== "" &&
        segment !== "." &&
        segment !== ".." &&
        Buffer.byteLength(segment) <= 255 &&
        !UNSAFE.test(segment),
    )
  if (!isSafe) throw new AppError("FILE_NAME_UNSAFE", "the name of an uploaded file cannot be used")
  return name
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code !== "ESRCH"
  }
}
