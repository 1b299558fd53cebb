import { Worker } from "node:worker_threads"
import { AppError } from "../../contract/errors.ts"
import type { BatchOutcome } from "../../../native/lib/payload.ts"
import { checkOutcome, type BatchBackend } from "./backend.ts"
import { portableCipher } from "./portable-cipher.ts"
import type { WorkerReply, WorkerRequest } from "./worker.ts"

/**
 * Batches on worker threads over node:crypto (or libsodium), for platforms without our addon. Ciphering is spread over
 * `cipherWorkers` threads; each digest stays on one of two further threads, since a hash cannot move between them.
 */
export function workerBackend(cipherWorkers: number): BatchBackend {
  const ciphers = Array.from({ length: cipherWorkers }, () => new BatchWorker())
  const hashers: BatchWorker[] = []
  let nextDigest = 0
  const idlest = () => ciphers.reduce((best, worker) => (worker.queued < best.queued ? worker : best))
  const run = async (worker: BatchWorker, request: WorkerRequest) => outcomeOf(await worker.ask(request))
  return {
    name: "workers",
    cipher: portableCipher(),
    allocate: (bytes) => new Uint8Array(new SharedArrayBuffer(bytes)),
    seal: async (batch) => run(idlest(), { kind: "seal", batch }),
    open: async (batch) => run(idlest(), { kind: "open", batch }),
    read: async (plain, pieces) => run(idlest(), { kind: "read", plain, pieces }),
    write: async (plain, pieces) => run(idlest(), { kind: "write", plain, pieces }),
    createDigests(streams) {
      const first = nextDigest
      nextDigest += streams
      const hasher = (digest: number) => (hashers[digest % 2] ??= new BatchWorker())
      return {
        update: async (feeds) => {
          const updates = feeds.map(async ({ stream, bytes }) => {
            const digest = first + stream
            checkOutcome(await run(hasher(digest), { kind: "update", digest, bytes }))
          })
          await Promise.all(updates)
        },
        finish: async (stream) => {
          const reply = await hasher(first + stream).ask({ kind: "finish", digest: first + stream })
          if (reply.kind !== "digest") throw new AppError("INTERNAL", "a worker answered out of turn")
          return reply.bytes
        },
      }
    },
    close: async () => {
      await Promise.all([...ciphers, ...hashers].map(async (worker) => worker.close()))
    },
  }
}

function outcomeOf(reply: WorkerReply): BatchOutcome {
  if (reply.kind === "digest") throw new AppError("INTERNAL", "a worker answered out of turn")
  return reply
}

/** Sources end in .ts, a built product in .js. */
const ENTRY = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url)

/** One thread and the requests it has not answered. */
class BatchWorker {
  readonly #worker = new Worker(ENTRY)
  readonly #waiting = new Map<
    number,
    { readonly resolve: (reply: WorkerReply) => void; readonly reject: (error: Error) => void }
  >()
  #nextId = 0

  constructor() {
    this.#worker.on("message", ({ id, reply }: { readonly id: number; readonly reply: WorkerReply }) => {
      this.#waiting.get(id)?.resolve(reply)
      this.#waiting.delete(id)
    })
    this.#worker.on("error", () => this.#fail("a payload worker failed"))
    this.#worker.on("exit", () => this.#fail("a payload worker ended"))
  }

  get queued(): number {
    return this.#waiting.size
  }

  async ask(request: WorkerRequest): Promise<WorkerReply> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      // Structured clone copies the key; the copy inside the worker lives as long as the request.
      this.#worker.postMessage({ id, request })
    })
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #fail(reason: string): void {
    for (const { reject } of this.#waiting.values()) reject(new AppError("INTERNAL", reason))
    this.#waiting.clear()
  }
}
