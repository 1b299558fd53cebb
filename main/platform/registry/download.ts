/** A blob from a registry to a file: hashed as it comes, continued where it broke off, in constant memory. */
import { AppError } from "../../contract/errors.ts"
import { toDigest } from "../../core/oci/manifest.ts"
import type { BlobName, BlobTarget, OnBytes } from "../../services/ports/registry.ts"
import { createBlobHash, type BlobHash } from "./blob-hash.ts"
import { STRETCH_BYTES, writeFully } from "./descriptor-io.ts"
import type { Answer } from "./http.ts"
import type { RegistrySession } from "./session.ts"

interface Download {
  readonly session: RegistrySession
  readonly path: string
  readonly scope: string
  readonly signal: AbortSignal
}

/** Throws REGISTRY_NOT_FOUND, REGISTRY_DIGEST_MISMATCH, REGISTRY_MISBEHAVED, REGISTRY_TRUNCATED, NO_SPACE. */
export async function downloadBlob(
  { session, path, scope, signal }: Download,
  blob: BlobName,
  target: BlobTarget,
  onBytes: OnBytes = () => {},
): Promise<void> {
  const state = new Arrived(blob, target, onBytes)
  await session
    .retrying(signal, async (progressed) => {
      const before = state.bytes
      const range: Record<string, string> = before === 0 ? {} : { range: `bytes=${before}-` }
      const request = { method: "GET", to: path, scope, expect: [200, 206, 416], headers: range } as const
      const answer = await session.once(request, signal)
      if (!beginsAt(answer, blob, before)) state.startOver()
      if (answer.status === 416) {
        // It cannot continue, though it has the blob: from the start, then.
        answer.drop()
        throw new RangeUnusable()
      }
      try {
        await state.take(answer)
      } finally {
        if (state.bytes > before) progressed()
      }
    })
    .catch(async (error: unknown) => {
      if (!(error instanceof RangeUnusable)) throw error
      state.startOver()
      const request = { method: "GET", to: path, scope, expect: [200] } as const
      await state.take(await session.once(request, signal))
    })
  state.checkDigest()
}

class RangeUnusable extends Error {}

/** Whether the answer continues at byte `from`. Throws REGISTRY_MISBEHAVED when it is about something else altogether. */
function beginsAt(answer: Answer, blob: BlobName, from: number): boolean {
  if (answer.status === 416) return false
  const start = answer.status === 206 ? rangeStart(answer, blob) : 0
  if (start !== from && start !== 0)
    throw new AppError("REGISTRY_MISBEHAVED", "the registry continues at another byte than it was asked for")
  const length = answer.length()
  if (length !== null && length !== blob.size - start)
    throw new AppError(
      "REGISTRY_MISBEHAVED",
      `the registry announces ${length} bytes where ${blob.size - start} are due`,
    )
  return start === from
}

function rangeStart(answer: Answer, blob: BlobName): number {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(answer.header("content-range") ?? "")
  const [start, end, total] = [Number(match?.[1]), Number(match?.[2]), match?.[3]]
  if (match === null || end !== blob.size - 1 || (total !== "*" && Number(total) !== blob.size))
    throw new AppError("REGISTRY_MISBEHAVED", "the registry sends another range than it was asked for")
  return start
}

/** What has arrived so far: on its way to the file and in the hash. */
class Arrived {
  readonly #blob: BlobName
  readonly #target: BlobTarget
  readonly #onBytes: OnBytes
  #hash: BlobHash = createBlobHash()
  /** Filled in turn: one receives while the other is hashed and written. */
  readonly #stretches: readonly [Buffer, Buffer]
  #bytes = 0

  constructor(blob: BlobName, target: BlobTarget, onBytes: OnBytes) {
    this.#blob = blob
    this.#target = target
    this.#onBytes = onBytes
    const length = Math.max(1, Math.min(STRETCH_BYTES, blob.size))
    this.#stretches = [Buffer.allocUnsafeSlow(length), Buffer.allocUnsafeSlow(length)]
  }

  get bytes(): number {
    return this.#bytes
  }

  startOver(): void {
    this.#hash = createBlobHash()
    this.#bytes = 0
    this.#onBytes(0)
  }

  /** Takes the body; what came before a failure is kept. While one stretch is hashed and written the next one fills. */
  async take(answer: Answer): Promise<void> {
    let [filling, other] = this.#stretches
    let filled = 0
    let settled: Promise<unknown> = Promise.resolve()
    const flush = async () => {
      await settled
      const stretch = filling.subarray(0, filled)
      const at = this.#bytes
      this.#bytes += filled
      filled = 0
      ;[filling, other] = [other, filling]
      const offset = this.#target.offset + at
      settled = Promise.all([this.#hash.update(stretch), writeFully(this.#target.file, stretch, offset)])
      settled.catch(() => {}) // met when it is awaited
      this.#onBytes(this.#bytes)
    }
    try {
      for await (const piece of answer.body) {
        if (this.#bytes + filled + piece.length > this.#blob.size)
          throw new AppError(
            "REGISTRY_MISBEHAVED",
            `the registry sends more than the ${this.#blob.size} bytes due`,
          )
        for (let taken = 0; taken < piece.length;) {
          const length = piece.copy(filling, filled, taken)
          taken += length
          filled += length
          if (filled === filling.length) await flush()
        }
      }
    } finally {
      if (filled > 0) await flush()
      await settled
    }
    if (this.#bytes < this.#blob.size) {
      // A body that ends cleanly and short is a lie, not an accident of the network.
      throw new AppError(
        "REGISTRY_TRUNCATED",
        `the registry ends the blob after ${this.#bytes} of ${this.#blob.size} bytes`,
      )
    }
  }

  checkDigest(): void {
    if (toDigest(this.#hash.finish()) !== this.#blob.digest)
      throw new AppError(
        "REGISTRY_DIGEST_MISMATCH",
        `what the registry sent is not ${this.#blob.digest.slice(0, 19)}…`,
      )
  }
}
