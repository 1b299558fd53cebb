/** Who may speak to the loopback host, decided from what a request says about itself. Any page of any site can reach 127.0.0.1. */
import type { IncomingMessage } from "node:http"

/** The one name a window uses. A rebound DNS name or `localhost` reaches the same socket and is refused by this. */
export function authorityOf(port: number): string {
  return `127.0.0.1:${port}`
}

/** Exactly one Host line with exactly our name; a second one would let two readers see two hosts. */
export function hasOurHost(request: IncomingMessage, port: number): boolean {
  const hosts = request.rawHeaders.filter(
    (name, index) => index % 2 === 0 && name.toLowerCase() === "host",
  ).length
  return hosts === 1 && request.headers.host === authorityOf(port)
}

/** The page that asks is ours. Browsers send Origin with every WebSocket handshake and every PUT, and no page can change it. */
export function hasOurOrigin(request: IncomingMessage, port: number): boolean {
  return request.headers.origin === `http://${authorityOf(port)}`
}

/** A request another site makes for a resource of ours. Browsers say so, and no page can change that either. */
export function isCrossSite(request: IncomingMessage): boolean {
  const site = request.headers["sec-fetch-site"]
  return site !== undefined && site !== "same-origin" && site !== "none"
}
