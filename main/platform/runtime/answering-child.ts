/** A child process with a private socket that answers requests in the order they were sent. */
import type { ChildProcess } from "node:child_process"
import type { Duplex } from "node:stream"
import { AppError, type ErrorCode } from "../../contract/errors.ts"
import type { Json } from "../../core/bytes/json.ts"
import { frameParts, FrameReader } from "../../core/bytes/frames.ts"

/** Descriptor of the socket in the child; inherited files follow. Kept in step with main/runtime/serve-requests.ts. */
export const CHANNEL = 3
const MAX_REPLY_BYTES = 2 ** 32

export interface Reply<Header> {
  readonly header: Header
  readonly body: Uint8Array
}

type Failable =
  { readonly kind: string } | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string }

interface Waiting<Header> {
  readonly resolve: (reply: Reply<Header>) => void
  readonly reject: (error: Error) => void
}

export class AnsweringChild<Request extends object, Header extends Failable> {
  readonly #child: ChildProcess
  readonly #channel: Duplex
  readonly #frames = new FrameReader(MAX_REPLY_BYTES)
  readonly #waiting: Waiting<Header>[] = []
  readonly #exited: Promise<void>
  readonly #readHeader: (header: Json) => Header
  readonly #gone: () => AppError

  /** `child` was spawned with a pipe as descriptor CHANNEL. `gone` is what its silence means. */
  constructor(child: ChildProcess, readHeader: (header: Json) => Header, gone: () => AppError) {
    this.#child = child
    this.#readHeader = readHeader
    this.#gone = gone
    // Descriptor 3 was asked for as a pipe, so it is a duplex stream.
    this.#channel = child.stdio[CHANNEL] as Duplex
    this.#exited = new Promise((resolve) => {
      child.once("exit", () => resolve())
      child.once("error", () => resolve())
    })
    this.#channel.on("data", (bytes: Uint8Array) => this.#receive(bytes))
    this.#channel.on("close", () => this.#fail())
    this.#channel.on("error", () => this.#fail())
    child.once("error", () => this.#fail())
  }

  /** What the child says next without having been asked. */
  async next(): Promise<Reply<Header>> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** Throws the child's refusal, and what `gone` gives when it ends first. */
  async ask(request: Request, bodies: readonly Uint8Array[] = []): Promise<Reply<Header>> {
    if (this.#channel.destroyed) throw this.#gone()
    const answer = this.next()
    this.#channel.cork()
    for (const part of frameParts(request, bodies)) this.#channel.write(part)
    this.#channel.uncork()
    const reply = await answer
    if ("code" in reply.header) throw new AppError(reply.header.code, reply.header.message)
    return reply
  }

  kill(): void {
    this.#child.kill("SIGKILL")
  }

  async close(): Promise<void> {
    this.#channel.destroy()
    // It ends by itself when its socket closes, unless it is deep in native code.
    const killer = setTimeout(() => this.kill(), 2000)
    await this.#exited
    clearTimeout(killer)
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const { header, body } of this.#frames.push(bytes))
        this.#waiting.shift()?.resolve({ header: this.#readHeader(header), body })
    } catch {
      // Whatever speaks there is not our child any more.
      this.kill()
      this.#fail()
    }
  }

  #fail(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(this.#gone())
  }
}
