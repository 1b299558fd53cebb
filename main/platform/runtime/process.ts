/** One runtime process and the private socket to it. */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process"
import type { Duplex } from "node:stream"
import { AppError } from "../../contract/errors.ts"
import {
  runtimeReplySchema,
  type RuntimeReply,
  type RuntimeRequest,
} from "../../contract/runtime-protocol.ts"
import type { RuntimeLevel } from "../../contract/schema/runtime.ts"
import { frameParts, FrameReader, type Frame } from "../../core/bytes/frames.ts"
import type { OpenFile } from "../../services/ports.ts"
import { runtimeCommand } from "./command.ts"

/** Descriptor of the channel in the child; inherited files follow. Kept in step with main/runtime/child.ts. */
export const CHANNEL = 3
const MAX_REPLY_BYTES = 2 ** 32

export interface Reply {
  readonly header: RuntimeReply
  readonly body: Uint8Array
}

/** The child process and the requests it has not answered; it answers in order. */
export class Runtime {
  readonly #child: ChildProcess
  readonly #channel: Duplex
  readonly #frames = new FrameReader(MAX_REPLY_BYTES)
  readonly #waiting: { readonly resolve: (reply: Reply) => void; readonly reject: (error: Error) => void }[] =
    []
  readonly #exited: Promise<void>

  /** What the process says of itself, before it is asked for anything. Rejects with RUNTIME_FAILED. */
  readonly ready: Promise<Reply>

  constructor(files: readonly OpenFile[], goal: RuntimeLevel) {
    const stdio: StdioOptions = ["ignore", "ignore", "ignore", "pipe", ...files.map((file) => file.number)]
    const { program, args, env } = runtimeCommand(goal, CHANNEL + files.length)
    this.#child = spawn(program, [...args], { stdio, env, windowsHide: true })
    this.ready = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
    // Descriptor 3 was asked for as a pipe, so it is a duplex stream.
    this.#channel = this.#child.stdio[CHANNEL] as Duplex
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", () => resolve())
      this.#child.once("error", () => resolve())
    })
    this.#channel.on("data", (bytes: Uint8Array) => this.#receive(bytes))
    this.#channel.on("close", () => this.#fail())
    this.#channel.on("error", () => this.#fail())
    this.#child.once("error", () => this.#fail())
  }

  async ask(request: RuntimeRequest, bodies: readonly Uint8Array[] = []): Promise<Reply> {
    if (this.#channel.destroyed) throw gone()
    const reply = await new Promise<Reply>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#channel.cork()
      for (const part of frameParts(request, bodies)) this.#channel.write(part)
      this.#channel.uncork()
    })
    if (reply.header.kind === "failed") throw new AppError(reply.header.code, reply.header.message)
    return reply
  }

  kill(): void {
    this.#child.kill("SIGKILL")
  }

  async close(): Promise<void> {
    this.#channel.destroy()
    // A runtime ends by itself when its channel closes, unless it is deep in native code.
    const killer = setTimeout(() => this.kill(), 2000)
    await this.#exited
    clearTimeout(killer)
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const frame of this.#frames.push(bytes)) this.#waiting.shift()?.resolve(readReply(frame))
    } catch {
      // Whatever speaks there is not our runtime any more.
      this.kill()
      this.#fail()
    }
  }

  #fail(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(gone())
  }
}

function readReply(frame: Frame): Reply {
  return { header: runtimeReplySchema.parse(frame.header), body: frame.body }
}

function gone(): AppError {
  return new AppError("RUNTIME_FAILED", "the sealed runtime ended before it answered")
}
