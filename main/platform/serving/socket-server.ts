/** Serves one guarded model to local clients over a Unix socket. */
import { createServer, type Server, type Socket } from "node:net"
import { once } from "node:events"
import { chmod } from "node:fs/promises"
import { AppError, toAppError } from "../../contract/errors.ts"
import {
  servingRequestSchema,
  TOKEN_BYTES,
  type ServingReply,
  type ServingRequest,
} from "../../contract/serving-protocol.ts"
import type { Served } from "../../contract/schema/serving.ts"
import { isEqual, wipe } from "../../core/bytes/bytes.ts"
import { frameParts, FrameReader, type Frame } from "../../core/bytes/frames.ts"
import type { Tensor } from "../../services/ports.ts"
import { peerCredentials } from "../../../native/lib/peer.ts"

/** Largest call: its inputs, bytes. */
const MAX_CALL_BYTES = 2 ** 30
/** Frames a client may send before it is known: a hello is far smaller. */
const MAX_HELLO_BYTES = 256
const MAX_CONNECTIONS = 256

/** What stands behind the socket. */
export interface ServedModel {
  identify(token: Uint8Array): string
  infer(client: string, inputs: readonly Tensor[], signal: AbortSignal): Promise<readonly Tensor[]>
  clear(client: string): void
  status(): Promise<Served>
  stop(): void
}

/** Listens at `path`, for this user and root only. `control` opens what is not for clients. */
export async function serveSocket(path: string, control: Uint8Array, model: ServedModel): Promise<Server> {
  const server = createServer({ allowHalfOpen: false }, (socket) => new Connection(socket, control, model))
  server.maxConnections = MAX_CONNECTIONS
  server.listen(path)
  await once(server, "listening")
  await chmod(path, 0o600)
  return server
}

type Peer = { readonly kind: "client"; readonly name: string } | { readonly kind: "operator" }

/** One connection: refused unless the kernel vouches for the user and a token for the client. Answers in order. */
class Connection {
  readonly #socket: Socket
  readonly #control: Uint8Array
  readonly #model: ServedModel
  readonly #abort = new AbortController()
  #frames = new FrameReader(MAX_HELLO_BYTES)
  #peer: Peer | null = null
  #queue: Promise<void> = Promise.resolve()

  constructor(socket: Socket, control: Uint8Array, model: ServedModel) {
    this.#socket = socket
    this.#control = control
    this.#model = model
    socket.on("error", () => socket.destroy())
    socket.on("close", () => this.#abort.abort())
    if (!isAllowedPeer(socket)) {
      this.#fail(new AppError("PEER_REFUSED", "the socket answers the user who started the runtime only"))
      socket.end()
      return
    }
    socket.on("data", (bytes) => this.#receive(bytes))
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const frame of this.#frames.push(bytes)) {
        const before = this.#queue
        if (this.#peer === null) this.#greet(frame)
        else
          this.#queue = (async () => {
            await before
            await this.#handle(frame)
          })()
      }
    } catch (error) {
      // Broken framing or a wrong token: there is nothing more to say to whoever this is.
      this.#fail(error)
      this.#socket.end()
    }
  }

  #greet({ header, body }: Frame): void {
    const request = servingRequestSchema.safeParse(header)
    if (!request.success || request.data.kind !== "hello" || body.length !== TOKEN_BYTES)
      throw new AppError("CLIENT_UNKNOWN", "a connection starts with its token")
    try {
      this.#peer = isEqual(body, this.#control)
        ? { kind: "operator" }
        : { kind: "client", name: this.#model.identify(body) }
    } finally {
      wipe(body)
    }
    this.#frames = new FrameReader(MAX_CALL_BYTES)
    const name = this.#peer.kind === "client" ? this.#peer.name : ""
    this.#queue = (async () => {
      const { inputs, outputs } = await this.#model.status()
      this.#reply({ kind: "welcome", client: name, inputs, outputs })
    })()
  }

  async #handle({ header, body }: Frame): Promise<void> {
    try {
      const request = servingRequestSchema.safeParse(header)
      if (!request.success) throw new AppError("USAGE", "the request does not have the form expected")
      await this.#answer(request.data, body)
    } catch (error) {
      this.#fail(error)
    }
  }

  async #answer(request: ServingRequest, body: Uint8Array): Promise<void> {
    const peer = this.#peer
    if (request.kind === "infer" && peer?.kind === "client") {
      const inputs: Tensor[] = []
      let at = 0
      for (const { bytes, ...tensor } of request.inputs) {
        inputs.push({ ...tensor, data: body.subarray(at, at + bytes) })
        at += bytes
      }
      if (at !== body.length)
        throw new AppError("INPUT_MISMATCH", "the inputs do not add up to the bytes sent")
      const outputs = await this.#model.infer(peer.name, inputs, this.#abort.signal)
      const headers = outputs.map(({ name, type, shape, data }) => ({
        name,
        type,
        shape: [...shape],
        bytes: data.length,
      }))
      this.#reply(
        { kind: "inferred", outputs: headers },
        outputs.map(({ data }) => data),
      )
      return
    }
    if (peer?.kind !== "operator" || request.kind === "infer" || request.kind === "hello")
      throw new AppError("CLIENT_UNKNOWN", `this token does not open ${request.kind}`)
    if (request.kind === "clear") this.#model.clear(request.client)
    this.#reply({ kind: "status", status: await this.#model.status() })
    if (request.kind === "stop") this.#model.stop()
  }

  #fail(error: unknown): void {
    const { code, message } = toAppError(error)
    this.#reply({ kind: "failed", code, message })
  }

  #reply(header: ServingReply, bodies: readonly Uint8Array[] = []): void {
    if (this.#socket.destroyed) return
    this.#socket.cork()
    for (const part of frameParts(header, bodies)) this.#socket.write(part)
    this.#socket.uncork()
  }
}

function isAllowedPeer(socket: Socket): boolean {
  // Node keeps the descriptor in its handle and has no public way to it.
  const handle: unknown = Reflect.get(socket, "_handle")
  const descriptor: unknown =
    typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined
  const peer = typeof descriptor === "number" && descriptor >= 0 ? peerCredentials(descriptor) : null
  return peer !== null && (peer.uid === process.getuid?.() || peer.uid === 0)
}
