import { CHUNK_BYTES, SEALED_CHUNK_BYTES } from "../../core/age/stream.ts"
import { wipe } from "../../core/bytes/bytes.ts"
import type { Piece } from "../../../native/lib/payload.ts"
import type { JobControl } from "../../services/ports.ts"
import { checkOutcome, type BatchBackend, type DigestFeed, type DigestSet } from "./backend.ts"

/** Chunks a batch: 4 MiB, so that handing batches from thread to thread costs nothing beside the work; measured best of 1 to 8 MiB. */
const BATCH_CHUNKS = 64
export const BATCH_BYTES = BATCH_CHUNKS * CHUNK_BYTES
export const SEALED_BATCH_BYTES = BATCH_CHUNKS * SEALED_CHUNK_BYTES
/** Batches in flight: while one is written and one hashed, another is read and sealed. */
const RING_SLOTS = 3
const PROGRESS_INTERVAL_MS = 100

/** Sealed bytes lie in memory as far behind a cache line as in their file; native/lib/payload.ts says why that matters. */
const LINE = 64

export class Slot {
  readonly plain: Uint8Array
  readonly #sealed: Uint8Array

  constructor(backend: BatchBackend) {
    this.plain = backend.allocate(BATCH_BYTES)
    this.#sealed = backend.allocate(SEALED_BATCH_BYTES + LINE)
  }

  /** For `size` sealed bytes that stand at `offset` of their file. */
  sealed(offset: number, size: number): Uint8Array {
    const start = offset % LINE
    return this.#sealed.subarray(start, start + size)
  }
}

/** What is left to do for a batch once its bytes are there. */
export interface BatchEnd {
  /** Progress it stands for. */
  readonly bytes: number
  readonly write: Uint8Array
  readonly pieces: readonly Piece[]
  readonly digest: readonly DigestFeed[]
}

/**
 * A ring of buffers. `run` waits for a free one and starts a batch in it without waiting for the batch. What a batch leaves
 * to be hashed is hashed in the order the batches were started. What it leaves to be written is written one batch at a
 * time: writers to one file wait for each other in the kernel, burning the time that sealing needs.
 */
export class Ring {
  readonly #backend: BatchBackend
  readonly #control: JobControl
  readonly #digests: DigestSet
  readonly #free: Slot[] = []
  readonly #slots: Slot[] = []
  readonly #running = new Set<Promise<void>>()
  #hashed: Promise<void> = Promise.resolve()
  #written: Promise<void> = Promise.resolve()
  #failure: { readonly error: unknown } | null = null
  #doneBytes = 0
  #reportedAt = 0

  constructor(backend: BatchBackend, digests: DigestSet, control: JobControl) {
    this.#backend = backend
    this.#digests = digests
    this.#control = control
  }

  /** Starts `batch`, which fills the slot's buffers. Rejects when an earlier batch has failed. */
  async run(batch: (slot: Slot) => Promise<BatchEnd>): Promise<void> {
    this.#control.signal.throwIfAborted()
    while (this.#free.length === 0 && this.#slots.length === RING_SLOTS) await Promise.race(this.#running)
    if (this.#failure !== null) throw this.#failure.error
    const slot = this.#free.pop() ?? this.#allocate()
    const running = this.#finish(slot, batch(slot))
    this.#running.add(running)
    void running.then(() => this.#running.delete(running))
  }

  /** Waits for every batch; throws what the first failing one threw. */
  async drain(): Promise<void> {
    await Promise.all(this.#running)
    this.#control.signal.throwIfAborted()
    if (this.#failure !== null) throw this.#failure.error
  }

  done(bytes: number): void {
    this.#doneBytes += bytes
    const now = performance.now()
    if (now - this.#reportedAt < PROGRESS_INTERVAL_MS) return
    this.#reportedAt = now
    this.#control.progress(this.#doneBytes)
  }

  /** Lets running batches end (they own their buffers), then wipes what held plaintext. */
  async close(): Promise<void> {
    await Promise.all(this.#running)
    this.#control.progress(this.#doneBytes)
    for (const slot of this.#slots) wipe(slot.plain)
  }

  #allocate(): Slot {
    const slot = new Slot(this.#backend)
    this.#slots.push(slot)
    return slot
  }

  /** Resolves, never rejects, when the slot is free again. */
  async #finish(slot: Slot, batch: Promise<BatchEnd>): Promise<void> {
    const hashed = this.#settle(this.#hash(batch, this.#hashed))
    this.#hashed = hashed
    const written = this.#settle(this.#write(batch))
    await Promise.all([hashed, written])
    this.#free.push(slot)
  }

  async #hash(batch: Promise<BatchEnd>, before: Promise<void>): Promise<void> {
    const { digest } = await batch
    await before
    if (digest.length > 0 && this.#failure === null) await this.#digests.update(digest)
  }

  async #write(batch: Promise<BatchEnd>): Promise<void> {
    const { write, pieces, bytes } = await batch
    const before = this.#written
    const turn = (async () => {
      await before
      if (pieces.length > 0 && this.#failure === null) {
        checkOutcome(await this.#backend.write(write, pieces))
      }
    })()
    this.#written = this.#settle(turn)
    await turn
    this.done(bytes)
  }

  async #settle(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      this.#failure ??= { error }
    }
  }
}
