/** The window's own scheme: `app://sealwright/` answers with the built user interface and with nothing else. */
import { protocol, type Session } from "electron"
import { COMMON_HEADERS, type WindowPages } from "../platform/window-pages.ts"

const SCHEME = "app"
const HOST = "sealwright"
export const WINDOW_URL = `${SCHEME}://${HOST}/`

/** Must happen before the program is ready. A secure origin of its own, without service workers or a way around the page's policy. */
export function declareScheme(): void {
  protocol.registerSchemesAsPrivileged([
    {
      scheme: SCHEME,
      privileges: {
        standard: true,
        secure: true,
        supportFetchAPI: true,
        codeCache: true,
        corsEnabled: false,
        bypassCSP: false,
        allowServiceWorkers: false,
        stream: false,
      },
    },
  ])
}

export function servePages(session: Session, pages: WindowPages): void {
  session.protocol.handle(SCHEME, ({ method, url }) => answer(pages, method, url))
}

/** Whether an address lies in the window's own origin. */
export function isOurs(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, host } = new URL(url)
  return protocol === `${SCHEME}:` && host === HOST
}

function answer(pages: WindowPages, method: string, url: string): Response {
  const isRead = method === "GET" || method === "HEAD"
  const { pathname, search } = new URL(url)
  // The window talks to the engine over its port alone.
  const page = isRead && isOurs(url) && search === "" ? pages.find(pathname, "'none'") : null
  if (page === null) return new Response(null, { status: isRead ? 404 : 405, headers: COMMON_HEADERS })
  return new Response(method === "HEAD" ? null : new Uint8Array(page.bytes), { headers: page.headers })
}
