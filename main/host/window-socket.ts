/** WebSockets of windows: the first message must be a token; after that the contract is spoken. */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { RPCHandler } from "@orpc/server/ws"
import { WebSocket, WebSocketServer } from "ws"
import { z } from "zod"
import type { WindowRouter } from "../contract/window-server.ts"
import type { Tokens } from "./tokens.ts"

const firstMessageSchema = z.strictObject({ token: z.string().min(1).max(128) })

/** Long lists of device names are the largest messages a window sends. */
const MAX_MESSAGE_BYTES = 4 << 20
const MAX_FIRST_MESSAGE_BYTES = 256
/** How long a stranger may hold a socket. */
const FIRST_MESSAGE_MS = 5000
const MAX_STRANGERS = 32
const PING_MS = 20_000

const CLOSED_UNAUTHORISED = 4401

export class WindowSockets {
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
  })
  readonly #handler: RPCHandler<object>
  readonly #tokens: Tokens
  readonly #onLinkUsed: () => void
  readonly #pinging: NodeJS.Timeout
  readonly #alive = new WeakSet<WebSocket>()
  #strangers = 0

  constructor(router: WindowRouter, tokens: Tokens, onLinkUsed: () => void) {
    this.#handler = new RPCHandler(router)
    this.#tokens = tokens
    this.#onLinkUsed = onLinkUsed
    this.#pinging = setInterval(() => this.#ping(), PING_MS).unref()
  }

  /** Takes over a connection whose Host and Origin were checked. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#strangers >= MAX_STRANGERS) {
      socket.destroy()
      return
    }
    this.#strangers += 1
    let isStranger = true
    const settle = () => {
      if (isStranger) this.#strangers -= 1
      isStranger = false
    }
    socket.once("close", settle)
    this.#server.handleUpgrade(request, socket, head, (window) => {
      const timer = setTimeout(() => window.close(CLOSED_UNAUTHORISED), FIRST_MESSAGE_MS)
      window.on("error", () => window.terminate())
      window.once("close", () => clearTimeout(timer))
      window.once("message", (data, isBinary) => {
        clearTimeout(timer)
        const redeemed = isBinary ? null : this.#redeem(toText(data))
        if (redeemed === null) {
          window.close(CLOSED_UNAUTHORISED)
          return
        }
        settle()
        this.#admit(window, redeemed.session)
        if (redeemed.usedLink) this.#onLinkUsed()
      })
    })
  }

  close(): void {
    clearInterval(this.#pinging)
    for (const window of this.#server.clients) window.terminate()
    this.#server.close()
  }

  #redeem(text: string) {
    if (text.length > MAX_FIRST_MESSAGE_BYTES) return null
    try {
      return this.#tokens.redeem(firstMessageSchema.parse(JSON.parse(text)).token)
    } catch {
      return null // not a first message of ours
    }
  }

  #admit(window: WebSocket, session: string): void {
    this.#alive.add(window)
    window.on("pong", () => this.#alive.add(window))
    void this.#handler.upgrade(window, { context: {} })
    window.send(JSON.stringify({ session }))
  }

  /** Ends windows whose computer went to sleep or whose tab was killed: their jobs must not go on unseen. */
  #ping(): void {
    for (const window of this.#server.clients) {
      if (window.readyState !== WebSocket.OPEN) continue
      if (!this.#alive.has(window)) window.terminate()
      this.#alive.delete(window)
      window.ping()
    }
  }
}

function toText(data: Buffer | ArrayBuffer | Buffer[]): string {
  return Array.isArray(data)
    ? Buffer.concat(data).toString("utf8")
    : Buffer.from(data as Buffer).toString("utf8")
}
