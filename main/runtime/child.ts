/**
 * The sealed runtime: the only process that holds plaintext weights. It is started with the .seal file already open and a
 * private socket as descriptor 3, loads one model, answers inference requests, and ends when the socket closes. Nothing is
 * ever written to disk from here.
 */
import { Socket } from "node:net"
import { AppError, toAppError } from "../contract/errors.ts"
import { runtimeRequestSchema, type RuntimeReply, type RuntimeRequest } from "../contract/runtime-protocol.ts"
import { wipe } from "../core/bytes/bytes.ts"
import { nativeLockdown } from "../../native/lib/lockdown.ts"
import { frameParts, FrameReader, type Frame } from "../core/bytes/frames.ts"
import { loadPlain, loadSealed, type PlainFile } from "./load.ts"
import { ModelSession, type TensorBytes } from "./session.ts"
import { applySteps } from "./steps.ts"

const CHANNEL = 3
/** Largest request: a batch of inputs. */
const MAX_REQUEST_BYTES = 2 ** 32

const channel = new Socket({ fd: CHANNEL, readable: true, writable: true })
const frames = new FrameReader(MAX_REQUEST_BYTES)
const native = nativeLockdown()
let session: ModelSession | null = null
/** Requests are answered one at a time and in order. */
let queue: Promise<void> = Promise.resolve()

channel.on("data", (bytes) => {
  for (const frame of frames.push(bytes)) {
    const before = queue
    queue = (async () => {
      await before
      await handle(frame)
    })()
  }
})
// The engine is gone, or done with us: there is nobody to answer and nothing to keep.
channel.on("close", () => process.exit(0))
channel.on("error", () => process.exit(0))

reply({ kind: "ready", steps: [...applySteps(process.env)] })

async function handle(frame: Frame): Promise<void> {
  try {
    const request = runtimeRequestSchema.parse(frame.header)
    await answer(request, frame.body)
  } catch (error) {
    const failure = toAppError(error)
    reply({ kind: "failed", code: failure.code, message: failure.message })
  }
}

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

function reply(header: RuntimeReply, bodies: readonly TensorBytes[] = []): void {
  channel.cork()
  for (const part of frameParts(
    header,
    bodies.map((tensor) => tensor.bytes),
  )) {
    channel.write(part)
  }
  channel.uncork()
}
