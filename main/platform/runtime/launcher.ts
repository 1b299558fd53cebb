/** Starts sealed runtimes and speaks to them. */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process"
import type { Duplex } from "node:stream"
import { fileURLToPath } from "node:url"
import { AppError } from "../../contract/errors.ts"
import {
  runtimeReplySchema,
  type RuntimeReply,
  type RuntimeRequest,
} from "../../contract/runtime-protocol.ts"
import { frameParts, FrameReader, type Frame } from "../../core/bytes/frames.ts"
import type {
  LoadedModel,
  ModelSource,
  OpenFile,
  RuntimeLauncher,
  RuntimeProcess,
  Tensor,
} from "../../services/ports.ts"

/** Descriptor of the channel in the child; inherited files follow. Kept in step with main/runtime/child.ts. */
const CHANNEL = 3
const MAX_REPLY_BYTES = 2 ** 32
const NO_BYTES = new Uint8Array(0)

export const runtimeLauncher: RuntimeLauncher = {
  async start(model, signal) {
    signal.throwIfAborted()
    const files = model.kind === "sealed" ? [model.file] : model.files.map(({ file }) => file)
    const runtime = new Runtime(files)
    const stop = () => runtime.kill()
    signal.addEventListener("abort", stop, { once: true })
    try {
      const startedAt = performance.now()
      const secrets =
        model.kind === "sealed"
          ? [model.key, model.modelSignature ?? NO_BYTES, model.overlay ?? NO_BYTES]
          : []
      const reply = await runtime.ask(loadRequest(model), secrets)
      signal.throwIfAborted()
      if (reply.header.kind !== "loaded") throw outOfTurn()
      const { inputs, outputs, loadMs } = reply.header
      return asProcess(runtime, {
        inputs,
        outputs,
        loadMs: { ...loadMs, total: performance.now() - startedAt },
      })
    } catch (error) {
      await runtime.close()
      signal.throwIfAborted()
      throw error
    } finally {
      signal.removeEventListener("abort", stop)
    }
  },
}

function loadRequest(model: ModelSource): RuntimeRequest {
  if (model.kind === "sealed") {
    const { chunksOffset, chunksBytes, trustedPems, modelSignature, overlay, modelRoot } = model
    return {
      kind: "load-sealed",
      file: CHANNEL + 1,
      signatureBytes: modelSignature?.length ?? 0,
      overlayBytes: overlay?.length ?? 0,
      chunksOffset,
      chunksBytes,
      trustedPems: [...trustedPems],
      modelRoot,
    }
  }
  const files = model.files.map(({ name, file }, index) => ({
    name,
    file: CHANNEL + 1 + index,
    bytes: file.size,
  }))
  return { kind: "load-plain", files }
}

function asProcess(runtime: Runtime, model: LoadedModel): RuntimeProcess {
  return {
    level: "R0",
    model,
    async infer(inputs, signal) {
      signal.throwIfAborted()
      const headers = inputs.map(({ name, type, shape, data }) => ({
        name,
        type,
        shape: [...shape],
        bytes: data.length,
      }))
      const bodies = inputs.map(({ data }) => data)
      const { header, body } = await runtime.ask({ kind: "infer", inputs: headers }, bodies)
      if (header.kind !== "inferred") throw outOfTurn()
      const outputs: Tensor[] = []
      let at = 0
      for (const { name, type, shape, bytes } of header.outputs) {
        outputs.push({ name, type, shape, data: body.subarray(at, at + bytes) })
        at += bytes
      }
      return { outputs, sessionMs: header.sessionMs }
    },
    async peakMemory() {
      const { header } = await runtime.ask({ kind: "memory" })
      if (header.kind !== "memory") throw outOfTurn()
      return header.peakBytes
    },
    close: async () => runtime.close(),
  }
}

interface Reply {
  readonly header: RuntimeReply
  readonly body: Uint8Array
}

/** The child process and the requests it has not answered; it answers in order. */
class Runtime {
  readonly #child: ChildProcess
  readonly #channel: Duplex
  readonly #frames = new FrameReader(MAX_REPLY_BYTES)
  readonly #waiting: { readonly resolve: (reply: Reply) => void; readonly reject: (error: Error) => void }[] =
    []
  readonly #exited: Promise<void>

  constructor(files: readonly OpenFile[]) {
    const stdio: StdioOptions = ["ignore", "ignore", "ignore", "pipe", ...files.map((file) => file.number)]
    this.#child = spawn(process.execPath, [RUNTIME_ENTRY], {
      stdio,
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

/** Nothing of the user's environment reaches the runtime; the compile cache only saves start-up time. */
function childEnvironment(): NodeJS.ProcessEnv {
  const cache = process.env["NODE_COMPILE_CACHE"]
  return cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }
}

/** Sources end in .ts, a built product in .js. */
const RUNTIME_ENTRY = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "../../runtime/child.ts" : "../../runtime/child.js",
    import.meta.url,
  ),
)

function gone(): AppError {
  return new AppError("RUNTIME_FAILED", "the sealed runtime ended before it answered")
}

function outOfTurn(): AppError {
  return new AppError("RUNTIME_FAILED", "the sealed runtime answered out of turn")
}
