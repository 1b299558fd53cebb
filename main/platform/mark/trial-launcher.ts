/** Starts trial processes and speaks to them. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { AppError } from "../../contract/errors.ts"
import { trialReplySchema, type TrialReply, type TrialRequest } from "../../contract/trial-protocol.ts"
import type { OpenFile, Tensor } from "../../services/ports.ts"
import { AnsweringChild, CHANNEL } from "../runtime/answering-child.ts"
import type { TrialLauncher, TrialProcess } from "../../services/ports/trial.ts"

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

/** The child process. */
class Trial extends AnsweringChild<TrialRequest, TrialReply> {
  constructor(files: readonly OpenFile[]) {
    const child = spawn(process.execPath, [ENTRY], {
      stdio: ["ignore", "ignore", "ignore", "pipe", ...files.map((file) => file.number)],
      env: childEnvironment(),
      windowsHide: true,
    })
    super(child, (header) => trialReplySchema.parse(header), gone)
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
