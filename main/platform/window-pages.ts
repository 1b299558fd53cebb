/** The built user interface, read once and served from memory by either host: no request decides what is opened. */
import { randomBytes } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
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

export interface WindowPage {
  readonly headers: Readonly<Record<string, string>>
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

export class WindowPages {
  readonly #pages = new Map<string, { readonly type: string; readonly bytes: Buffer }>()

  /** Throws UI_NOT_BUILT when the interface was not built. */
  constructor(folder: string) {
    try {
      this.#read(folder, "/")
    } catch (error) {
      throw new AppError("UI_NOT_BUILT", "the user interface is not built", { cause: error })
    }
  }

  #read(folder: string, prefix: string): void {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const file = path.join(folder, entry.name)
      const type = TYPES[path.extname(entry.name)]
      if (entry.isDirectory()) this.#read(file, `${prefix}${entry.name}/`)
      else if (type !== undefined)
        this.#pages.set(`${prefix}${entry.name}`, { type, bytes: readFileSync(file) })
    }
  }

  /** The page at a path, or `null`. `connect`: what its scripts may connect to, as a source of connect-src. */
  find(pathname: string, connect: string): WindowPage | null {
    const isIndex = pathname === "/"
    const page = this.#pages.get(isIndex ? "/index.html" : pathname)
    if (page === undefined || (!isIndex && pathname === "/index.html")) return null
    const nonce = randomBytes(16).toString("base64")
    const bytes = isIndex
      ? Buffer.from(page.bytes.toString("utf8").replaceAll(NONCE_PLACE, nonce))
      : page.bytes
    return {
      bytes,
      headers: {
        ...COMMON_HEADERS,
        "Content-Type": page.type,
        "Content-Length": String(bytes.length),
        // Names of built files hold their content's hash; the page itself has a new nonce each time.
        "Cache-Control": isIndex ? "no-store" : "private, max-age=31536000, immutable",
        ...(isIndex ? { "Content-Security-Policy": pagePolicy(nonce, connect) } : {}),
      },
    }
  }
}

/** Only our own files run, and style sheets that our own script marks; nothing is fetched from anywhere else. */
function pagePolicy(nonce: string, connect: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    `connect-src ${connect}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ")
}
