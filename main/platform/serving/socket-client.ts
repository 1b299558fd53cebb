/** A connection to a served runtime. */
import { connect, type Socket } from "node:net"
import { AppError } from "../../contract/errors.ts"
import {
  servingReplySchema,
  type ServingReply,
  type ServingRequest,
} from "../../contract/serving-protocol.ts"
import { frameParts, FrameReader } from "../../core/bytes/frames.ts"
import type { Tensor } from "../../services/ports.ts"

const MAX_REPLY_BYTES = 2 ** 30

interface Reply {
  readonly header: ServingReply
  readonly body: Uint8Array
}

/** Requests are answered in order. Throws RUNTIME_NOT_FOUND when nobody listens, and what the runtime refuses. */
export class ServingConnection {
  readonly #socket: Socket
  readonly #frames = new FrameReader(MAX_REPLY_BYTES)
  readonly #waiting: { readonly resolve: (reply: Reply) => void; readonly reject: (error: Error) => void }[] =
    []

  /** `token`: 32 bytes; the caller wipes them. */
  static async open(path: string, token: Uint8Array): Promise<ServingConnection> {
    const connection = new ServingConnection(path)
    try {
      await connection.ask({ kind: "hello" }, [token])
      return connection
    } catch (error) {
      connection.close()
      throw error
    }
  }

  private constructor(path: string) {
    this.#socket = connect(path)
    this.#socket.on("data", (bytes) => this.#receive(bytes))
    this.#socket.on("error", () => this.#fail())
    this.#socket.on("close", () => this.#fail())
  }

  async ask(request: ServingRequest, bodies: readonly Uint8Array[] = []): Promise<Reply> {
    if (this.#socket.destroyed) throw gone()
    const reply = await new Promise<Reply>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#socket.cork()
      for (const part of frameParts(request, bodies)) this.#socket.write(part)
      this.#socket.uncork()
    })
    if (reply.header.kind === "failed") throw new AppError(reply.header.code, reply.header.message)
    return reply
  }

  async infer(inputs: readonly Tensor[]): Promise<readonly Tensor[]> {
    const headers = inputs.map(({ name, type, shape, data }) => ({
      name,
      type,
      shape: [...shape],
      bytes: data.length,
    }))
    const { header, body } = await this.ask(
      { kind: "infer", inputs: headers },
      inputs.map(({ data }) => data),
    )
    if (header.kind !== "inferred") throw gone()
    const outputs: Tensor[] = []
    let at = 0
    for (const { bytes, ...tensor } of header.outputs) {
      outputs.push({ ...tensor, data: body.subarray(at, at + bytes) })
      at += bytes
    }
    return outputs
  }

  close(): void {
    this.#socket.destroy()
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const { header, body } of this.#frames.push(bytes))
        this.#waiting.shift()?.resolve({ header: servingReplySchema.parse(header), body })
    } catch {
      this.#socket.destroy()
    }
  }

  #fail(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(gone())
  }
}

function gone(): AppError {
  return new AppError("RUNTIME_NOT_FOUND", "the runtime does not answer")
}
