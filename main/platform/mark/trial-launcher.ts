/** Starts trial processes and speaks to them. */
import { spawn, type ChildProcess } from "node:child_process"
import type { Duplex } from "node:stream"
import { fileURLToPath } from "node:url"
import { AppError } from "../../contract/errors.ts"
import { trialReplySchema, type TrialReply, type TrialRequest } from "../../contract/trial-protocol.ts"
import { frameParts, FrameReader } from "../../core/bytes/frames.ts"
import type { OpenFile, Tensor } from "../../services/ports.ts"
import type { TrialLauncher, TrialProcess } from "../../services/ports/trial.ts"

/** Descriptor of the channel in the child; inherited files follow. Kept in step with main/runtime/trial.ts. */
const CHANNEL = 3
const MAX_REPLY_BYTES = 2 ** 32

export const trialLauncher: TrialLauncher = {
  async start(files, signal) {
    signal.throwIfAborted()
    const process = new Trial(files.map(({ file }) => file))
    const stop = () => process.kill()
    signal.addEventListener("abort", stop, { once: true })
    const close = async () => {
      signal.removeEventListener("abort", stop)
      await process.close()
    }
    try {
      const header = files.map(({ name, file }, index) => ({
        name,
        file: CHANNEL + 1 + index,
        bytes: file.size,
      }))
      const { header: reply } = await process.ask({ kind: "load", files: header })
      if (reply.kind !== "loaded") throw outOfTurn()
      return asProcess(process, reply.inputs, close)
    } catch (error) {
      await close()
      signal.throwIfAborted()
      throw error
    }
  },
}

function asProcess(process: Trial, inputs: TrialProcess["inputs"], close: () => Promise<void>): TrialProcess {
  let kept = 0
  return {
    inputs,
    async keep(tensors) {
      const headers = tensors.map(({ name, type, shape, data }) => ({
        name,
        type,
        shape: [...shape],
        bytes: data.length,
      }))
      const { header } = await process.ask(
        { kind: "batch", inputs: headers },
        tensors.map(({ data }) => data),
      )
      if (header.kind !== "kept") throw outOfTurn()
      kept += 1
      return kept - 1
    },
    async run(patches, batches) {
      const { header, body } = await process.ask(
        {
          kind: "trial",
          patches: patches.map(({ file, offset, bytes }) => ({ file, offset, bytes: bytes.length })),
          batches: [...batches],
        },
        patches.map(({ bytes }) => bytes),
      )
      if (header.kind !== "tried") throw outOfTurn()
      let at = 0
      return header.batches.map((outputs) =>
        outputs.map(({ name, type, shape, bytes }): Tensor => {
          const data = body.subarray(at, at + bytes)
          at += bytes
          return { name, type, shape, data }
        }),
      )
    },
    close,
  }
}

interface Reply {
  readonly header: TrialReply
  readonly body: Uint8Array
}

/** The child process; it answers in order. */
class Trial {
  readonly #child: ChildProcess
  readonly #channel: Duplex
  readonly #frames = new FrameReader(MAX_REPLY_BYTES)
  readonly #waiting: { readonly resolve: (reply: Reply) => void; readonly reject: (error: Error) => void }[] =
    []
  readonly #exited: Promise<void>

  constructor(files: readonly OpenFile[]) {
    this.#child = spawn(process.execPath, [ENTRY], {
      stdio: ["ignore", "ignore", "ignore", "pipe", ...files.map((file) => file.number)],
      env: childEnvironment(),
      windowsHide: true,
    })
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

  async ask(request: TrialRequest, bodies: readonly Uint8Array[] = []): Promise<Reply> {
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
    const killer = setTimeout(() => this.kill(), 2000)
    await this.#exited
    clearTimeout(killer)
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const frame of this.#frames.push(bytes))
        this.#waiting.shift()?.resolve({ header: trialReplySchema.parse(frame.header), body: frame.body })
    } catch {
      // Whatever speaks there is not our process any more.
      this.kill()
      this.#fail()
    }
  }

  #fail(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(gone())
  }
}

/** Nothing of the user's environment reaches the process; the compile cache only saves start-up time. */
function childEnvironment(): NodeJS.ProcessEnv {
  const cache = process.env["NODE_COMPILE_CACHE"]
  return cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }
}

/** Sources end in .ts, a built product in .js. */
const ENTRY = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "../../runtime/trial.ts" : "../../runtime/trial.js",
    import.meta.url,
  ),
)

function gone(): AppError {
  return new AppError("RUNTIME_FAILED", "the trial process ended before it answered")
}

function outOfTurn(): AppError {
  return new AppError("RUNTIME_FAILED", "the trial process answered out of turn")
}
