/**
 * The trial process: runs a model the engine's user already holds in the clear with some of its weights changed, so that
 * what a mark costs can be measured before anything is made. Started with the model's files open and a private socket as
 * descriptor 3; nothing is ever written to disk from here, and everything ends with the socket.
 */
import { AppError } from "../contract/errors.ts"
import { trialRequestSchema, type TrialReply, type TrialRequest } from "../contract/trial-protocol.ts"
import { wipe } from "../core/bytes/bytes.ts"
import { loadPlain, type PlainFile } from "./load.ts"
import { serveRequests, type Send } from "./serve-requests.ts"
import { ModelSession, type TensorBytes } from "./session.ts"

interface Batch {
  readonly inputs: Extract<TrialRequest, { readonly kind: "batch" }>["inputs"]
  readonly body: Uint8Array<ArrayBuffer>
}

const batches: Batch[] = []
let files: readonly PlainFile[] = []
const reply: Send<TrialReply> = serveRequests(async (header, body) =>
  answer(trialRequestSchema.parse(header), body),
)

async function answer(request: TrialRequest, body: Uint8Array<ArrayBuffer>): Promise<void> {
  switch (request.kind) {
    case "load": {
      files = await loadPlain(request.files)
      const session = await ModelSession.open(files)
      reply({ kind: "loaded", inputs: session.inputs })
      return
    }
    case "batch":
      batches.push({ inputs: request.inputs, body })
      reply({ kind: "kept" })
      return
    case "trial": {
      const restore = patch(request.patches, body)
      let session: ModelSession
      try {
        session = await ModelSession.open(files)
      } finally {
        restore()
        wipe(body)
      }
      await tryBatches(session, request.batches)
    }
  }
}

/** Replaces stretches of the files and returns what puts them back. Throws INTERNAL for a stretch that is not there. */
function patch(
  patches: Extract<TrialRequest, { readonly kind: "trial" }>["patches"],
  body: Uint8Array,
): () => void {
  const saved: { readonly target: Uint8Array; readonly original: Uint8Array }[] = []
  let at = 0
  for (const { file, offset, bytes } of patches) {
    const target = files[file]?.bytes.subarray(offset, offset + bytes)
    if (target?.length !== bytes) throw new AppError("INTERNAL", "a trial changes bytes outside of the model")
    saved.push({ target, original: Uint8Array.from(target) })
    target.set(body.subarray(at, at + bytes))
    at += bytes
  }
  return () => {
    for (const { target, original } of saved) target.set(original)
  }
}

async function tryBatches(session: ModelSession, wanted: readonly number[]): Promise<void> {
  const results: (readonly TensorBytes[])[] = []
  for (const number of wanted) {
    const batch = batches[number]
    if (batch === undefined) throw new AppError("INTERNAL", "a trial asks for a batch that was not sent")
    // The session may keep a view of what it is given.
    const { outputs } = await session.run(batch.inputs, Uint8Array.from(batch.body))
    results.push(outputs)
  }
  reply(
    { kind: "tried", batches: results.map((outputs) => outputs.map((output) => output.header)) },
    results.flat(),
  )
}
