/** Files in and out. In a browser bytes travel; on the desktop only references do. */
import type { OpenedFile, ReferAnswer } from "../../main/contract/desktop.ts"
import { AppError, isErrorCode } from "../../main/contract/errors.ts"
import { fileRefSchema, type FileRef } from "../../main/contract/schema/base.ts"
import { connection } from "./connection.ts"
import { desktop } from "./desktop.ts"

export type SentFile = OpenedFile

export interface SendOptions {
  readonly signal: AbortSignal
  /** Bytes sent so far, of all files together. */
  readonly onProgress: (sent: number) => void
}

/** Hands files that belong together to the engine, in order. Throws CANCELLED, NO_SPACE, FILE_CHANGED, FILE_NAME_UNSAFE. */
export async function sendFiles(files: readonly File[], options: SendOptions): Promise<readonly SentFile[]> {
  if (desktop !== null) {
    const bridge = desktop
    return Promise.all(
      files.map(async (file) => ({
        file: readAnswered(await bridge.refer(file)),
        name: file.name,
        bytes: file.size,
      })),
    )
  }
  const announced = files.map((file) => ({ name: relativeName(file), bytes: file.size }))
  const tickets = await connection.client.shell.upload({ files: announced }, { signal: options.signal })
  const sent: SentFile[] = []
  let before = 0
  for (const [index, file] of files.entries()) {
    const ref = await put(tickets[index] ?? "", file, options.signal, (bytes) =>
      options.onProgress(before + bytes),
    )
    before += file.size
    sent.push({ file: ref, name: file.name, bytes: file.size })
  }
  return sent
}

function readAnswered(answer: ReferAnswer): FileRef {
  if (answer.kind === "known") return answer.file
  throw new AppError(answer.code, answer.message)
}

/** Shows or saves a result. `inside`: a file in a folder of results. */
export async function fetchFile(
  file: FileRef,
  how: "view" | "save" | "reveal",
  inside: string | null = null,
): Promise<void> {
  const { path } = await connection.client.shell.fetch({ file, inside, how })
  if (path === null) return // the desktop did it
  const link = document.createElement("a")
  link.href = path
  if (how === "view") link.target = "_blank"
  else link.download = ""
  link.rel = "noopener"
  link.click()
}

/** XMLHttpRequest, because fetch cannot tell how far an upload is. */
async function put(
  ticket: string,
  file: File,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<FileRef> {
  const request = new XMLHttpRequest()
  const abort = () => request.abort()
  signal.addEventListener("abort", abort, { once: true })
  try {
    return await new Promise((resolve, reject) => {
      request.upload.addEventListener("progress", ({ loaded }) => onProgress(loaded))
      request.addEventListener("load", () => {
        try {
          resolve(readAnswer(request))
        } catch (error) {
          reject(error instanceof Error ? error : new Error("the answer cannot be read"))
        }
      })
      request.addEventListener("error", () => reject(new AppError("ENGINE_GONE", "the upload broke off")))
      request.addEventListener("abort", () => reject(new AppError("CANCELLED", "the upload was stopped")))
      request.open("PUT", `/transfer/${ticket}`)
      request.send(file)
      if (signal.aborted) request.abort()
    })
  } finally {
    signal.removeEventListener("abort", abort)
  }
}

function readAnswer(request: XMLHttpRequest): FileRef {
  const answer: unknown = JSON.parse(request.responseText === "" ? "{}" : request.responseText)
  const field = (name: string): string => {
    const value: unknown = typeof answer === "object" && answer !== null ? Reflect.get(answer, name) : ""
    return typeof value === "string" ? value : ""
  }
  if (request.status === 200) return fileRefSchema.parse(field("file"))
  const code = field("code")
  throw isErrorCode(code)
    ? new AppError(code, field("message"))
    : new AppError("ENGINE_GONE", "the host did not take the upload")
}

/** A dropped folder gives its files paths; the first part is the folder itself. */
function relativeName(file: File): string {
  const path = file.webkitRelativePath
  return path === "" ? file.name : path.slice(path.indexOf("/") + 1)
}
