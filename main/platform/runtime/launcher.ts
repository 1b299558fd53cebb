/** Starts sealed runtimes and speaks to them. */
import { AppError } from "../../contract/errors.ts"
import type { RuntimeRequest } from "../../contract/runtime-protocol.ts"
import { isAtLeast, type LevelReport, type RuntimeLevel } from "../../contract/schema/runtime.ts"
import { judgeLevel } from "../../core/policy/levels.ts"
import type {
  LoadedModel,
  ModelSource,
  RuntimeLauncher,
  RuntimeOptions,
  RuntimeProcess,
  Tensor,
} from "../../services/ports.ts"
import { whyNoLauncher } from "./command.ts"
import { CHANNEL } from "./answering-child.ts"
import { Runtime } from "./process.ts"

const HIGHEST: RuntimeLevel = "R2"
const NO_BYTES = new Uint8Array(0)

export const runtimeLauncher: RuntimeLauncher = {
  async start(model, options, signal) {
    signal.throwIfAborted()
    const files = model.kind === "sealed" ? [model.file] : model.files.map(({ file }) => file)
    const runtime = new Runtime(files, options.level ?? HIGHEST)
    const stop = () => runtime.kill()
    signal.addEventListener("abort", stop, { once: true })
    try {
      const startedAt = performance.now()
      const level = await readLevel(runtime, options.level)
      checkLevel(level, options)
      const secrets =
        model.kind === "sealed"
          ? [model.key, model.modelSignature ?? NO_BYTES, model.overlay ?? NO_BYTES]
          : []
      const reply = await runtime.ask(loadRequest(model), secrets)
      signal.throwIfAborted()
      if (reply.header.kind !== "loaded") throw outOfTurn()
      const { inputs, outputs, loadMs } = reply.header
      return asProcess(runtime, level, {
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
  async probe(signal) {
    signal.throwIfAborted()
    const runtime = new Runtime([], HIGHEST)
    try {
      return await readLevel(runtime, null)
    } finally {
      await runtime.close()
    }
  },
}

async function readLevel(runtime: Runtime, asked: RuntimeLevel | null): Promise<LevelReport> {
  const { header } = await runtime.ready
  if (header.kind === "failed") throw new AppError(header.code, header.message)
  if (header.kind !== "ready") throw outOfTurn()
  return judgeLevel(asked, header.steps, whyNoLauncher() ?? undefined)
}

/** The caller and the grant both have a say, and neither can lower what the other wants. */
function checkLevel(level: LevelReport, { level: asked, minimum }: RuntimeOptions): void {
  const wanted = asked !== null && isAtLeast(asked, minimum) ? asked : minimum
  if (isAtLeast(level.reached, wanted)) return
  const by = wanted === minimum ? "the grant demands" : "was asked for"
  const why = level.reason === "" ? `the runtime was started at ${level.reached}` : level.reason
  throw new AppError("RUNTIME_LEVEL", `level ${wanted} ${by}, and ${level.reached} was reached: ${why}`)
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

function asProcess(runtime: Runtime, level: LevelReport, model: LoadedModel): RuntimeProcess {
  return {
    level,
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
    async memory() {
      const { header } = await runtime.ask({ kind: "memory" })
      if (header.kind !== "memory") throw outOfTurn()
      const { peakBytes, heap } = header
      return { peakBytes, heap }
    },
    async unload() {
      const { header } = await runtime.ask({ kind: "unload" })
      if (header.kind !== "unloaded") throw outOfTurn()
      return header.ms
    },
    close: async () => runtime.close(),
  }
}

function outOfTurn(): AppError {
  return new AppError("RUNTIME_FAILED", "the sealed runtime answered out of turn")
}
