/**
 * The payload engine: plaintext and ciphertext flow through a ring of reused buffers, several batches at a time, while
 * digests follow in order behind them. Memory is the ring, whatever the size of the model.
 */
import { PayloadReader } from "../../core/age/reader.ts"
import type { ByteSource } from "../../core/bytes/source.ts"
import { wipe } from "../../core/bytes/bytes.ts"
import { CHUNK_BYTES, SEALED_CHUNK_BYTES, sealedSize } from "../../core/age/stream.ts"
import type { BatchOutcome, Piece } from "../../../native/lib/payload.ts"
import type {
  DecryptJob,
  DecryptResult,
  EncryptJob,
  EncryptResult,
  JobControl,
  PayloadEngine,
  PlainPart,
} from "../../services/ports.ts"
import { checkOutcome, type BatchBackend, type DigestStream } from "./backend.ts"

/** Chunks a batch. 16 (1 MiB) keeps a batch inside a core's second-level cache; measured best of 4 to 64. */
const BATCH_CHUNKS = 16
const BATCH_BYTES = BATCH_CHUNKS * CHUNK_BYTES
/** Batches in flight. Two more than the cores of a small machine: while some are hashed, others are sealed. */
const RING_SLOTS = 6
const PROGRESS_INTERVAL_MS = 100

export function payloadEngine(backend: BatchBackend): PayloadEngine {
  return {
    encrypt: async (job, control) => encrypt(backend, job, control),
    decrypt: async (job, control) => decrypt(backend, job, control),
    reader: async ({ file, chunksOffset, chunksBytes, key }) =>
      PayloadReader.open(fileSource(backend, file, chunksOffset, chunksBytes), key, backend.cipher),
    digest: async (file, offset, length, control) => digestFile(backend, file, offset, length, control),
  }
}

async function encrypt(backend: BatchBackend, job: EncryptJob, control: JobControl): Promise<EncryptResult> {
  const layout = layOut(job.parts)
  // Whole chunks go through the ring; what remains (with the tail, if there is one) is sealed as the end of the file. When
  // nothing would remain, one chunk is held back, because the last chunk carries the end flag.
  const whole = Math.floor(layout.bytes / CHUNK_BYTES)
  const bodyChunks =
    whole > 0 && whole * CHUNK_BYTES === layout.bytes && job.tail === undefined ? whole - 1 : whole
  const bodyBytes = bodyChunks * CHUNK_BYTES
  const ring = new Ring(backend, control)
  const sealedDigest = job.digest ? ring.digest() : null
  const partDigests = job.parts.map((part) => (part.kind === "file" && part.digest ? ring.digest() : null))
  const chunksOffset = job.output.offset + job.prefix.length
  const transform = inTurn(job.transform?.bind(job))
  await write(backend, job.output.file, job.output.offset, job.prefix)
  await sealedDigest?.feed(job.prefix)

  try {
    for (let at = 0; at < bodyBytes; at += BATCH_BYTES) {
      const size = Math.min(BATCH_BYTES, bodyBytes - at)
      const firstChunk = at / CHUNK_BYTES
      await ring.run(async (slot, follow) => {
        const plain = slot.plain.subarray(0, size)
        const sealed = slot.sealed.subarray(0, sealedSize(size))
        const pieces = layout.fill(at, plain)
        const output = { file: job.output.file, offset: chunksOffset + firstChunk * SEALED_CHUNK_BYTES }
        await transform?.(at, plain, async () => backend.read(plain, pieces))
        const rest = transform === null ? pieces : []
        const batch = { key: job.key, firstChunk, endsFile: false, plain, pieces: rest, sealed, output }
        checkOutcome(await backend.seal(batch))
        layout.digested(at, plain, (part, bytes) => follow(partDigests[part], bytes))
        follow(sealedDigest, sealed)
        ring.done(size)
      })
    }
    await ring.drain()
    const end = await readEnd(backend, job, layout, bodyBytes)
    const feeds: Promise<void>[] = []
    layout.digested(bodyBytes, end, (part, bytes) => {
      const digest = partDigests[part]
      if (digest) feeds.push(digest.feed(bytes))
    })
    await Promise.all(feeds)
    const digests = await Promise.all(
      partDigests.filter((digest) => digest !== null).map(async (d) => d.finish()),
    )
    const tail = (await job.tail?.(digests)) ?? new Uint8Array(0)
    control.signal.throwIfAborted()

    const last = new Uint8Array(end.length + tail.length)
    last.set(end)
    last.set(tail, end.length)
    const sealed = new Uint8Array(sealedSize(last.length))
    backend.cipher.seal(job.key, bodyChunks, true, last, sealed)
    wipe(end, last)
    await write(backend, job.output.file, chunksOffset + bodyChunks * SEALED_CHUNK_BYTES, sealed)
    await sealedDigest?.feed(sealed)
    ring.done(last.length)
    return {
      bytes: job.prefix.length + bodyChunks * SEALED_CHUNK_BYTES + sealed.length,
      plainBytes: bodyBytes + last.length,
      digest: (await sealedDigest?.finish()) ?? null,
      partDigests: digests,
    }
  } finally {
    await ring.close()
  }
}

/** A stretch of an open file. Ranges are checked, since they come from what a stranger wrote. */
function fileSource(backend: BatchBackend, file: number, offset: number, size: number): ByteSource {
  return {
    size,
    async read(at, length) {
      if (at < 0 || length < 0 || at + length > size)
        throw new RangeError(`read of ${length} bytes at ${at} in ${size}`)
      const bytes = backend.allocate(length)
      checkOutcome(await backend.read(bytes, [{ file, offset: offset + at, at: 0, length }]))
      return bytes
    },
  }
}

/** What is left after whole chunks: at most one chunk of parts. */
async function readEnd(
  backend: BatchBackend,
  job: EncryptJob,
  layout: Layout,
  from: number,
): Promise<Uint8Array> {
  const end = backend.allocate(layout.bytes - from)
  checkOutcome(await backend.read(end, layout.fill(from, end)))
  job.transform?.(from, end)
  return end
}

async function decrypt(backend: BatchBackend, job: DecryptJob, control: JobControl): Promise<DecryptResult> {
  const ring = new Ring(backend, control)
  const sealedDigest = job.digest ? ring.digest() : null
  const partDigests = job.parts.map((part) => (part.digest ? ring.digest() : null))
  const transform = inTurn(job.transform?.bind(job))
  try {
    const head = backend.allocate(job.chunksOffset - job.offset)
    checkOutcome(
      await backend.read(head, [{ file: job.file, offset: job.offset, at: 0, length: head.length }]),
    )
    await sealedDigest?.feed(head)

    const batchSealed = BATCH_CHUNKS * SEALED_CHUNK_BYTES
    for (let from = 0; from < job.chunksBytes; from += batchSealed) {
      const size = Math.min(batchSealed, job.chunksBytes - from)
      const firstChunk = from / SEALED_CHUNK_BYTES
      const at = firstChunk * CHUNK_BYTES
      await ring.run(async (slot, follow) => {
        const sealed = slot.sealed.subarray(0, size)
        const plain = slot.plain.subarray(0, size - Math.ceil(size / SEALED_CHUNK_BYTES) * 16)
        const pieces = outputPieces(job, at, plain.length)
        const input = { file: job.file, offset: job.chunksOffset + from }
        const endsFile = from + size === job.chunksBytes
        const batch = { key: job.key, firstChunk, endsFile, sealed, input, plain }
        if (transform === null) checkOutcome(await backend.open({ ...batch, pieces }))
        else {
          await transform(at, plain, async () => backend.open({ ...batch, pieces: [] }))
          checkOutcome(await backend.write(plain, pieces))
        }
        job.parts.forEach((part, index) => {
          const overlap = overlapOf(at, plain.length, part.offset, part.length)
          if (overlap !== null) follow(partDigests[index], plain.subarray(overlap.from - at, overlap.to - at))
        })
        follow(sealedDigest, sealed)
        ring.done(plain.length)
      })
    }
    await ring.drain()
    return {
      digest: (await sealedDigest?.finish()) ?? null,
      partDigests: await Promise.all(partDigests.filter((d) => d !== null).map(async (d) => d.finish())),
    }
  } finally {
    await ring.close()
  }
}

async function digestFile(
  backend: BatchBackend,
  file: number,
  offset: number,
  length: number,
  control: JobControl,
): Promise<Uint8Array> {
  const ring = new Ring(backend, control)
  const digest = ring.digest()
  try {
    for (let at = 0; at < length; at += BATCH_BYTES) {
      const size = Math.min(BATCH_BYTES, length - at)
      await ring.run(async (slot, follow) => {
        const bytes = slot.plain.subarray(0, size)
        checkOutcome(await backend.read(bytes, [{ file, offset: offset + at, at: 0, length: size }]))
        follow(digest, bytes)
        ring.done(size)
      })
    }
    await ring.drain()
    return await digest.finish()
  } finally {
    await ring.close()
  }
}

/**
 * Batches finish in any order; a transform sees their plaintext one after another. The function returned waits for `work`
 * (which fills `plain`) and for the batches that asked before, then transforms. A batch that fails fails those behind it.
 */
function inTurn(
  transform: EncryptJob["transform"],
): ((offset: number, plain: Uint8Array, work: () => Promise<BatchOutcome>) => Promise<void>) | null {
  if (transform === undefined) return null
  let last: Promise<void> = Promise.resolve()
  return async (offset, plain, work) => {
    const before = last
    last = (async () => {
      const outcome = await work()
      await before
      checkOutcome(outcome)
      transform(offset, plain)
    })()
    await last
  }
}

async function write(backend: BatchBackend, file: number, offset: number, bytes: Uint8Array): Promise<void> {
  const shared = backend.allocate(bytes.length)
  shared.set(bytes)
  checkOutcome(await backend.write(shared, [{ file, offset, at: 0, length: bytes.length }]))
}

function outputPieces(job: DecryptJob, at: number, length: number): readonly Piece[] {
  const pieces: Piece[] = []
  for (const part of job.parts) {
    const overlap = part.target === null ? null : overlapOf(at, length, part.offset, part.length)
    if (overlap === null || part.target === null) continue
    pieces.push({
      file: part.target.file,
      offset: part.target.offset + overlap.from - part.offset,
      at: overlap.from - at,
      length: overlap.to - overlap.from,
    })
  }
  return pieces
}

function overlapOf(
  a: number,
  aLength: number,
  b: number,
  bLength: number,
): { from: number; to: number } | null {
  const from = Math.max(a, b)
  const to = Math.min(a + aLength, b + bLength)
  return from < to ? { from, to } : null
}

interface Layout {
  readonly bytes: number
  /** Copies parts in memory into `plain` (plaintext from `at` on) and returns where the rest is to be read from. */
  fill(at: number, plain: Uint8Array): readonly Piece[]
  /** Calls back with every stretch of `plain` that belongs to a part whose digest is wanted. */
  digested(at: number, plain: Uint8Array, visit: (part: number, bytes: Uint8Array) => void): void
}

function layOut(parts: readonly PlainPart[]): Layout {
  let bytes = 0
  const placed = parts.map((part) => {
    const start = bytes
    const length = part.kind === "bytes" ? part.bytes.length : part.length
    bytes += length
    return { part, start, length }
  })
  const overlapping = (at: number, size: number) =>
    placed.flatMap((place, index) => {
      const overlap = overlapOf(at, size, place.start, place.length)
      return overlap === null ? [] : [{ ...place, ...overlap, index }]
    })
  return {
    bytes,
    fill(at, plain) {
      const pieces: Piece[] = []
      for (const { part, start, from, to } of overlapping(at, plain.length)) {
        if (part.kind === "bytes") plain.set(part.bytes.subarray(from - start, to - start), from - at)
        else
          pieces.push({
            file: part.file,
            offset: part.offset + from - start,
            at: from - at,
            length: to - from,
          })
      }
      return pieces
    },
    digested(at, plain, visit) {
      for (const { part, index, from, to } of overlapping(at, plain.length)) {
        if (part.kind === "file" && part.digest) visit(index, plain.subarray(from - at, to - at))
      }
    },
  }
}

interface Slot {
  readonly plain: Uint8Array
  readonly sealed: Uint8Array
}

type Follow = (digest: OrderedDigest | null | undefined, bytes: Uint8Array) => void

/**
 * A ring of buffers. `run` waits for a free one and starts a batch in it without waiting for the batch; what a batch hands
 * to `follow` is hashed in the order the batches were started, and its buffer is free again after that.
 */
class Ring {
  readonly #backend: BatchBackend
  readonly #control: JobControl
  readonly #free: Slot[] = []
  readonly #slots: Slot[] = []
  readonly #running = new Set<Promise<void>>()
  #order: Promise<unknown> = Promise.resolve()
  #failure: { readonly error: unknown } | null = null
  #doneBytes = 0
  #reportedAt = 0

  constructor(backend: BatchBackend, control: JobControl) {
    this.#backend = backend
    this.#control = control
  }

  digest(): OrderedDigest {
    return new OrderedDigest(this.#backend.createDigest())
  }

  async run(batch: (slot: Slot, follow: Follow) => Promise<void>): Promise<void> {
    this.#control.signal.throwIfAborted()
    while (this.#free.length === 0 && this.#slots.length === RING_SLOTS) await Promise.race(this.#running)
    if (this.#failure !== null) throw this.#failure.error
    const slot = this.#free.pop() ?? this.#allocate()
    const before = this.#order
    const work = this.#inOrder(slot, before, batch)
    this.#order = work.ordered
    this.#running.add(work.finished)
    void work.finished.then(() => this.#running.delete(work.finished))
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
    const slot = {
      plain: this.#backend.allocate(BATCH_BYTES),
      sealed: this.#backend.allocate(BATCH_CHUNKS * SEALED_CHUNK_BYTES),
    }
    this.#slots.push(slot)
    return slot
  }

  /** `ordered` resolves when the batch's digests are queued; `finished` when its buffer is free. Neither rejects. */
  #inOrder(slot: Slot, before: Promise<unknown>, batch: (slot: Slot, follow: Follow) => Promise<void>) {
    const follows: { readonly digest: OrderedDigest; readonly bytes: Uint8Array }[] = []
    const sealed = batch(slot, (digest, bytes) => {
      if (digest) follows.push({ digest, bytes })
    })
    const settle = async (work: Promise<unknown>): Promise<void> => {
      try {
        await work
      } catch (error) {
        this.#failure ??= { error }
      }
    }
    const queued = (async () => {
      await settle(sealed)
      await before
      return follows.map(async ({ digest, bytes }) => settle(digest.feed(bytes)))
    })()
    const finished = (async () => {
      await Promise.all(await queued)
      this.#free.push(slot)
    })()
    return { ordered: queued, finished }
  }
}

/** A digest whose updates run one after another in the order they were fed. */
class OrderedDigest {
  readonly #stream: DigestStream
  #last: Promise<void> = Promise.resolve()

  constructor(stream: DigestStream) {
    this.#stream = stream
  }

  async feed(bytes: Uint8Array): Promise<void> {
    const before = this.#last
    this.#last = (async () => {
      await before
      await this.#stream.update(bytes)
    })()
    await this.#last
  }

  async finish(): Promise<Uint8Array> {
    await this.#last
    return this.#stream.finish()
  }
}
