/** The way to the engine: a WebSocket to the loopback host, or a message port of the desktop shell. */
import { createORPCClient } from "@orpc/client"
import { RPCLink as PortLink } from "@orpc/client/message-port"
import { RPCLink as SocketLink } from "@orpc/client/websocket"
import { asAppErrors } from "../../main/contract/client.ts"
import { PORT_MESSAGE } from "../../main/contract/desktop.ts"
import { AppError } from "../../main/contract/errors.ts"
import type { WindowClient } from "../../main/contract/window.ts"
import { desktop } from "./desktop.ts"
import { currentToken, dropToken, keepSession } from "./token.ts"

/** `denied`: the host does not admit this window, and asking again is of no use. */
export type ConnectionState = "connecting" | "open" | "lost" | "denied"

const CLOSED_UNAUTHORISED = 4401
const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 4000

class Connection {
  #state: ConnectionState = "connecting"
  #client: WindowClient | null = null
  #retryMs = FIRST_RETRY_MS
  readonly #listeners = new Set<() => void>()

  get state(): ConnectionState {
    return this.#state
  }

  /** Throws ENGINE_GONE while there is no connection. */
  get client(): WindowClient {
    if (this.#client === null) throw new AppError("ENGINE_GONE", "the window is not connected")
    return this.#client
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when this window is connected, at once if it is. */
  async whenOpen(): Promise<void> {
    if (this.#state === "open") return
    await new Promise<void>((resolve) => {
      const leave = this.subscribe(() => {
        if (this.#state !== "open") return
        leave()
        resolve()
      })
    })
  }

  open(): void {
    if (desktop === null) this.#openSocket()
    else this.#openPort()
  }

  #openSocket(): void {
    const token = currentToken()
    if (token === null) {
      this.#become("denied", null)
      return
    }
    const socket = new WebSocket(`ws://${location.host}/contract`)
    socket.addEventListener("open", () => socket.send(JSON.stringify({ token })))
    socket.addEventListener(
      "message",
      (event) => {
        // The host's first answer; everything after it belongs to the contract.
        const { session } = JSON.parse(String(event.data)) as { readonly session: string }
        keepSession(session)
        this.#retryMs = FIRST_RETRY_MS
        const link = new SocketLink({ websocket: socket, interceptors: [asAppErrors] })
        this.#become("open", createORPCClient(link))
      },
      { once: true },
    )
    socket.addEventListener("close", ({ code }) => {
      if (code === CLOSED_UNAUTHORISED) {
        dropToken()
        // A used link in a tab that has a session already: the session is what counts.
        if (currentToken() !== null) this.#openSocket()
        else this.#become("denied", null)
        return
      }
      this.#become("lost", null)
      setTimeout(() => this.#openSocket(), this.#retryMs)
      this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2)
    })
  }

  #openPort(): void {
    window.addEventListener("message", (event) => {
      const [port] = event.ports
      if (event.source !== window || event.data !== PORT_MESSAGE || port === undefined) return
      port.start()
      this.#become("open", createORPCClient(new PortLink({ port, interceptors: [asAppErrors] })))
    })
    desktop?.requestPort()
  }

  #become(state: ConnectionState, client: WindowClient | null): void {
    this.#state = state
    this.#client = client
    for (const listener of this.#listeners) listener()
  }
}

export const connection = new Connection()
