/** The built user interface, read once and served from memory: no request decides what is opened. */
import { randomBytes } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import type { ServerResponse } from "node:http"
import path from "node:path"
import { AppError } from "../contract/errors.ts"

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
}
const NONCE_PLACE = "__STYLE_NONCE__"

interface Page {
  readonly type: string
  readonly bytes: Buffer
}

/** What every answer carries, whatever it is. */
export const COMMON_HEADERS = {
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=(), usb=(), serial=(), hid=()",
} as const

export class Pages {
  readonly #pages = new Map<string, Page>()

  /** Throws UI_NOT_BUILT when the interface was not built. */
  constructor(folder: string) {
    let names: string[]
    try {
      names = readdirSync(folder, { recursive: true, encoding: "utf8" })
    } catch {
      throw new AppError("UI_NOT_BUILT", "the user interface is not built")
    }
    for (const name of names) {
      const type = TYPES[path.extname(name)]
      if (type === undefined) continue
      this.#pages.set(`/${name.split(path.sep).join("/")}`, {
        type,
        bytes: readFileSync(path.join(folder, name)),
      })
    }
  }

  /** Answers a GET or HEAD; false when there is no such page. `authority` is where the window's socket leads. */
  serve(pathname: string, isHead: boolean, authority: string, response: ServerResponse): boolean {
    const isIndex = pathname === "/"
    const page = this.#pages.get(isIndex ? "/index.html" : pathname)
    if (page === undefined || (!isIndex && pathname === "/index.html")) return false
    const nonce = randomBytes(16).toString("base64")
    const bytes = isIndex
      ? Buffer.from(page.bytes.toString("utf8").replaceAll(NONCE_PLACE, nonce))
      : page.bytes
    response.writeHead(200, {
      ...COMMON_HEADERS,
      "Content-Type": page.type,
      "Content-Length": bytes.length,
      // Names of built files hold their content's hash; the page itself has a new nonce each time.
      "Cache-Control": isIndex ? "no-store" : "private, max-age=31536000, immutable",
      ...(isIndex ? { "Content-Security-Policy": pagePolicy(nonce, authority) } : {}),
    })
    response.end(isHead ? undefined : bytes)
    return true
  }
}

/** Only our own files run, and style sheets that our own script marks; nothing is fetched from anywhere else. */
function pagePolicy(nonce: string, authority: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    `connect-src 'self' ws://${authority}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ")
}
