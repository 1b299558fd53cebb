/** Bytes in and out over HTTP. Each transfer has a ticket of its own, good once and for a short time. */
import { createReadStream } from "node:fs"
import { stat } from "node:fs/promises"
import type { IncomingMessage, ServerResponse } from "node:http"
import path from "node:path"
import { pipeline } from "node:stream/promises"
import { AppError, toAppError } from "../contract/errors.ts"
import type { FileRef } from "../contract/schema/base.ts"
import { COMMON_HEADERS } from "../platform/window-pages.ts"
import { newToken } from "./tokens.ts"
import type { Announced, UploadFolder } from "./upload-folder.ts"

type Ticket =
  | { readonly kind: "upload"; readonly file: Announced; readonly expiresAt: number }
  | { readonly kind: "download"; readonly path: string; readonly isPage: boolean; readonly expiresAt: number }

/** Long enough for a queue of uploads that belong together; a download begins at once. */
const UPLOAD_TICKET_MS = 30 * 60_000
const DOWNLOAD_TICKET_MS = 60_000
const MAX_TICKETS = 4096
/** A sender that says nothing for this long is gone. */
const IDLE_MS = 60_000

/** What a page of ours may do when it is looked at: nothing but show itself. */
const VIEWED_PAGE_POLICY =
  "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"

export class Transfers {
  readonly #folder: UploadFolder
  readonly #refer: (path: string) => Promise<FileRef>
  readonly #tickets = new Map<string, Ticket>()

  constructor(folder: UploadFolder, refer: (path: string) => Promise<FileRef>) {
    this.#folder = folder
    this.#refer = refer
  }

  /** One ticket a file, in order. */
  async expect(files: readonly { readonly name: string; readonly bytes: number }[]): Promise<string[]> {
    const announced = await this.#folder.announce(files)
    return announced.map((file) =>
      this.#issue({ kind: "upload", file, expiresAt: Date.now() + UPLOAD_TICKET_MS }),
    )
  }

  /** The path of a request that fetches the file once. `isPage`: to be looked at, in a sandbox, and not kept. */
  offer(filePath: string, isPage: boolean): string {
    return `/transfer/${this.#issue({ kind: "download", path: filePath, isPage, expiresAt: Date.now() + DOWNLOAD_TICKET_MS })}`
  }

  /** `PUT /transfer/<ticket>`: answers with the file's reference, or the failure's code. */
  async receive(id: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const ticket = this.#take(id)
    if (ticket?.kind !== "upload") {
      refuse(response, 404)
      return
    }
    request.setTimeout(IDLE_MS, () => request.destroy())
    try {
      if (request.headers["content-length"] !== String(ticket.file.bytes))
        throw new AppError("FILE_CHANGED", "the length sent is not the one announced")
      await this.#folder.receive(ticket.file, request)
      answerJson(response, 200, { file: await this.#refer(ticket.file.path) })
    } catch (error) {
      const { code, message } = toAppError(error)
      answerJson(response, 409, { code, message })
    }
  }

  /** `GET /transfer/<ticket>`. */
  async send(id: string, response: ServerResponse): Promise<void> {
    const ticket = this.#take(id)
    const stats = ticket?.kind === "download" ? await stat(ticket.path).catch(() => null) : null
    if (ticket?.kind !== "download" || stats === null || !stats.isFile()) {
      refuse(response, 404)
      return
    }
    const isPage = ticket.isPage && path.extname(ticket.path) === ".html"
    response.writeHead(200, {
      ...COMMON_HEADERS,
      "Content-Security-Policy": isPage ? VIEWED_PAGE_POLICY : "sandbox; default-src 'none'",
      "Content-Type": isPage ? "text/html; charset=utf-8" : "application/octet-stream",
      "Content-Disposition": `${isPage ? "inline" : "attachment"}; filename*=UTF-8''${encodeName(path.basename(ticket.path))}`,
      "Content-Length": stats.size,
      "Cache-Control": "no-store",
    })
    // A file that grows meanwhile is cut where it was announced to end; one that shrinks breaks the answer off.
    const end = Math.max(0, stats.size - 1)
    if (stats.size === 0) response.end()
    else await pipeline(createReadStream(ticket.path, { end }), response).catch(() => response.destroy())
  }

  #issue(ticket: Ticket): string {
    const now = Date.now()
    for (const [id, { expiresAt }] of this.#tickets) if (expiresAt < now) this.#tickets.delete(id)
    if (this.#tickets.size >= MAX_TICKETS) throw new AppError("USAGE", "too many transfers are waiting")
    const id = newToken()
    this.#tickets.set(id, ticket)
    return id
  }

  #take(id: string): Ticket | null {
    const ticket = this.#tickets.get(id)
    this.#tickets.delete(id)
    return ticket === undefined || ticket.expiresAt < Date.now() ? null : ticket
  }
}

/** A refusal tells nothing about why. */
export function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { ...COMMON_HEADERS, "Content-Length": 0, Connection: "close" })
  response.end()
}

function answerJson(response: ServerResponse, status: number, value: unknown): void {
  if (response.destroyed || response.headersSent) return
  const body = Buffer.from(JSON.stringify(value))
  response.writeHead(status, {
    ...COMMON_HEADERS,
    "Content-Type": "application/json",
    "Content-Length": body.length,
    "Cache-Control": "no-store",
    ...(status === 200 ? {} : { Connection: "close" }),
  })
  response.end(body)
}

/** RFC 8187: everything but letters, digits and a few marks as percent escapes. */
function encodeName(name: string): string {
  return encodeURIComponent(name).replaceAll(
    /['()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
