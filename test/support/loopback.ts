/** A loopback host with a page of its own, and windows on it as a browser would open them. */
import { mkdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import { createORPCClient } from "@orpc/client"
import { RPCLink } from "@orpc/client/websocket"
import { WebSocket } from "ws"
import { asAppErrors } from "../../main/contract/client.ts"
import type { WindowClient } from "../../main/contract/window.ts"
import { startLoopbackHost, type LoopbackHost } from "../../main/host/loopback.ts"

export interface TestHost {
  readonly host: LoopbackHost
  readonly origin: string
  readonly workspace: string
  /** Every link so far; the last one is good. */
  readonly links: readonly string[]
  token(): string
  window(token: string): Promise<TestWindow>
}

export interface TestWindow {
  readonly client: WindowClient
  readonly session: string
  readonly socket: WebSocket
}

export async function openTestHost(folder: string): Promise<TestHost> {
  const pages = path.join(folder, "pages")
  mkdirSync(path.join(pages, "assets"), { recursive: true })
  writeFileSync(
    path.join(pages, "index.html"),
    `<!doctype html><meta name="style-nonce" content="__STYLE_NONCE__">`,
  )
  writeFileSync(path.join(pages, "assets", "app.js"), "export {}\n")
  const workspace = path.join(folder, "workspace")
  const links: string[] = []
  const host = await startLoopbackHost({ workspace, port: 0, pages, onLink: (link) => links.push(link) })
  const origin = `http://127.0.0.1:${host.port}`
  return {
    host,
    origin,
    workspace,
    links,
    token: () => links.at(-1)?.split("#token=")[1] ?? "",
    window: async (token) => openWindow(origin, token),
  }
}

/** Throws with the close code when the host does not admit it. */
async function openWindow(origin: string, token: string): Promise<TestWindow> {
  const socket = new WebSocket(`${origin.replace("http", "ws")}/contract`, { origin })
  const session = await new Promise<string>((resolve, reject) => {
    socket.once("open", () => socket.send(JSON.stringify({ token })))
    socket.once("error", reject)
    socket.once("close", (code) => reject(new Error(`closed with ${code}`)))
    socket.once("message", (data: Buffer) => {
      const { session } = JSON.parse(data.toString()) as { readonly session: string } // the host's first answer
      resolve(session)
    })
  })
  // ws and the browser's WebSocket agree on what the link uses of them.
  const link = new RPCLink({
    websocket: socket as unknown as globalThis.WebSocket,
    interceptors: [asAppErrors],
  })
  return { client: createORPCClient(link), session, socket }
}
