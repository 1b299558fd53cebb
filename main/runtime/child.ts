/**
 * The sealed runtime: the only process that holds plaintext weights. It is started with the .seal file already open and a
 * private socket as descriptor 3, loads one model, answers inference requests, and ends when the socket closes. Nothing is
 * ever written to disk from here.
 */
import { AppError } from "../contract/errors.ts"
import { runtimeRequestSchema, type RuntimeReply, type RuntimeRequest } from "../contract/runtime-protocol.ts"
import { wipe } from "../core/bytes/bytes.ts"
import { nativeLockdown } from "../../native/lib/lockdown.ts"
import { loadPlain, loadSealed, type PlainFile } from "./load.ts"
import { serveRequests, type Send } from "./serve-requests.ts"
import { ModelSession } from "./session.ts"
import { applySteps } from "./steps.ts"

const native = nativeLockdown()
let session: ModelSession | null = null
const reply: Send<RuntimeReply> = serveRequests(async (header, body) =>
  answer(runtimeRequestSchema.parse(header), body),
)

reply({ kind: "ready", steps: [...applySteps(process.env)] })

async function answer(request: RuntimeRequest, body: Uint8Array<ArrayBuffer>): Promise<void> {
  switch (request.kind) {
    case "load-sealed": {
      try {
        const loaded = await loadSealed(request, body)
        await openSession(loaded.files, loaded.loadMs, () => release(loaded.memory))
      } finally {
        wipe(body)
      }
      return
    }
    case "load-plain": {
      const files = await loadPlain(request.files)
      await openSession(files, { decrypt: 0, verify: 0 }, () => release(...files.map((file) => file.bytes)))
      return
    }
    case "infer": {
      if (session === null) throw new AppError("USAGE", "no model is loaded")
      const result = await session.run(request.inputs, body)
      reply(
        { kind: "inferred", outputs: result.outputs.map((output) => output.header), sessionMs: result.ms },
        result.outputs,
      )
      return
    }
    case "memory": {
      const peakBytes = process.resourceUsage().maxRSS * 1024
      const heap = native?.heapStatistics()
      if (heap?.isArmed !== true) return reply({ kind: "memory", peakBytes, heap: null })
      const { isSecret, live, peak, used } = heap
      return reply({ kind: "memory", peakBytes, heap: { isSecret, live, peak, used } })
    }
    case "unload": {
      const startedAt = performance.now()
      await session?.close()
      session = null
      native?.wipeStack()
      reply({ kind: "unloaded", ms: performance.now() - startedAt })
    }
  }
}

async function openSession(
  files: readonly PlainFile[],
  loadMs: { readonly decrypt: number; readonly verify: number },
  forget: () => void,
): Promise<void> {
  if (session !== null) throw new AppError("USAGE", "a model is loaded already")
  const startedAt = performance.now()
  try {
    session = await ModelSession.open(files)
  } finally {
    // The session owns copies of the weights; ours have done their work.
    forget()
  }
  const { inputs, outputs } = session
  reply({ kind: "loaded", inputs, outputs, loadMs: { ...loadMs, session: performance.now() - startedAt } })
}

/** Gives memory back now, wiped, instead of whenever the collector comes by. */
function release(...memories: readonly Uint8Array<ArrayBuffer>[]): void {
  for (const memory of memories) {
    wipe(memory)
    memory.buffer.transfer(0)
  }
}
