/** The engine's end of the process that has the PKCS#11 module loaded. */
import { fork, type ChildProcess } from "node:child_process"
import { fileURLToPath } from "node:url"
import { AppError } from "../../../contract/errors.ts"
import type { Answer, CommandName, Commands } from "./protocol.ts"

/** Longest wait for one operation: a card with a button may wait for a person. */
const TIMEOUT_MS = 60_000
/** Time a module has to end its process by itself. */
const END_MS = 2_000

interface Waiting {
  readonly resolve: (output: unknown) => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout
}

export class ModuleProcess {
  readonly #timeoutMs: number
  #child: ChildProcess | null = null
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1

  constructor(timeoutMs = TIMEOUT_MS) {
    this.#timeoutMs = timeoutMs
  }

  /** Throws what the token refuses, TOKEN_GONE when the module ended its process, and TOKEN_BUSY when it does not answer. */
  async ask<Name extends CommandName>(
    command: Name,
    input: Commands[Name]["input"],
  ): Promise<Commands[Name]["output"]> {
    const child = (this.#child ??= this.#start())
    const id = this.#nextId++
    const output = await new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#fail(
          child,
          new AppError("TOKEN_BUSY", `the token did not answer within ${this.#timeoutMs / 1000} s`),
        )
      }, this.#timeoutMs)
      this.#waiting.set(id, { resolve, reject, timer })
      child.ref()
      child.channel?.ref()
      child.send({ id, command, input })
    })
    return output as Commands[Name]["output"] // what host.ts gives for this command
  }

  /** Ends the process and with it every session and login. */
  async close(): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    child.ref()
    // A module that blocks never hears that it should end.
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS)
    await new Promise<void>((resolve) => {
      child.once("exit", () => resolve())
      if (child.connected) child.disconnect()
      if (child.exitCode !== null || child.signalCode !== null) resolve()
    })
    clearTimeout(timer)
    this.#rejectAll(gone())
  }

  #start(): ChildProcess {
    const child = fork(ENTRY, {
      // Bytes cross as bytes; a module may print, which must not reach our output.
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    })
    child.on("message", (answer: Answer) => this.#settle(child, answer))
    child.on("error", () => this.#fail(child, gone()))
    child.on("exit", () => this.#fail(child, gone()))
    return child
  }

  #settle(child: ChildProcess, answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    if (waiting === undefined) return
    this.#waiting.delete(answer.id)
    clearTimeout(waiting.timer)
    if (answer.kind === "done") waiting.resolve(answer.output)
    else {
      const refusal = new AppError(answer.code, answer.message)
      waiting.reject(refusal)
      // Many modules learn of a token's return only when they start anew.
      if (RESTARTS.has(answer.code)) return this.#fail(child, refusal)
    }
    if (this.#waiting.size > 0) return
    // An idle module does not keep the engine alive.
    child.unref()
    child.channel?.unref()
  }

  #fail(child: ChildProcess, error: AppError): void {
    if (this.#child !== child) return
    this.#child = null
    child.kill("SIGKILL")
    this.#rejectAll(error)
  }

  #rejectAll(error: AppError): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer)
      reject(error)
    }
    this.#waiting.clear()
  }
}

/** Sources end in .ts, a built product in .js. */
const ENTRY = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./host.ts" : "./host.js", import.meta.url),
)

const RESTARTS: ReadonlySet<string> = new Set(["TOKEN_REMOVED", "TOKEN_ABSENT"])

function gone(): AppError {
  return new AppError("TOKEN_GONE", "the PKCS#11 module ended its process")
}
