/**
 * The payload engine: plaintext and ciphertext flow through a ring of reused buffers, several batches at a time, while
 * digests follow in order behind them. Memory is the ring, whatever the size of the model.
 */
import { PayloadReader } from "../../core/age/reader.ts"
import { CHUNK_BYTES, SEALED_CHUNK_BYTES, sealedSize } from "../../core/age/stream.ts"
import { wipe } from "../../core/bytes/bytes.ts"
import type { ByteSource } from "../../core/bytes/source.ts"
import type { BatchOutcome, Piece } from "../../../native/lib/payload.ts"
import type {
  DecryptJob,
  DecryptResult,
  EncryptJob,
  EncryptResult,
  JobControl,
  PayloadEngine,
} from "../../services/ports.ts"
import { checkOutcome, type BatchBackend } from "./backend.ts"
import { JobDigests } from "./job-digests.ts"
import { layOut, overlapOf, type Layout, type Overlap } from "./layout.ts"
import { BATCH_BYTES, Ring, SEALED_BATCH_BYTES } from "./ring.ts"

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
  const digests = new JobDigests(
    backend,
    job.parts.map((part) => part.kind === "file" && part.digest),
    job.digest,
  )
  const ring = new Ring(backend, digests.set, control)
  const chunksOffset = job.output.offset + job.prefix.length
  const transform = inTurn(job.transform?.bind(job))
  await write(backend, job.output.file, job.output.offset, job.prefix)
  await digests.feed(digests.sealed(job.prefix))

  try {
    for (let at = 0; at < bodyBytes; at += BATCH_BYTES) {
      const size = Math.min(BATCH_BYTES, bodyBytes - at)
      const firstChunk = at / CHUNK_BYTES
      await ring.run(async (slot) => {
        const plain = slot.plain.subarray(0, size)
        const offset = chunksOffset + firstChunk * SEALED_CHUNK_BYTES
        const sealed = slot.sealed(offset, sealedSize(size))
        const pieces = layout.fill(at, plain)
        await transform?.(at, plain, async () => backend.read(plain, pieces))
        const rest = transform === null ? pieces : []
        const target = { file: job.output.file, offset, at: 0, length: sealed.length }
        const batch = { key: job.key, firstChunk, endsFile: false, plain, pieces: rest, sealed }
        const written = checkOutcome(await backend.seal({ ...batch, output: target }))
        return {
          bytes: size,
          write: sealed,
          pieces: withoutFirst([target], written),
          digest: [...digests.parts(at, layout.overlaps(at, plain.length), plain), ...digests.sealed(sealed)],
        }
      })
    }
    await ring.drain()
    const end = await readEnd(backend, job, layout, bodyBytes)
    await digests.feed(digests.parts(bodyBytes, layout.overlaps(bodyBytes, end.length), end))
    const partDigests = await digests.finishParts()
    const tail = (await job.tail?.(partDigests)) ?? new Uint8Array(0)
    control.signal.throwIfAborted()

    const last = new Uint8Array(end.length + tail.length)
    last.set(end)
    last.set(tail, end.length)
    const sealed = new Uint8Array(sealedSize(last.length))
    backend.cipher.seal(job.key, bodyChunks, true, last, sealed)
    wipe(end, last)
    await write(backend, job.output.file, chunksOffset + bodyChunks * SEALED_CHUNK_BYTES, sealed)
    await digests.feed(digests.sealed(sealed))
    ring.done(last.length)
    return {
      bytes: job.prefix.length + bodyChunks * SEALED_CHUNK_BYTES + sealed.length,
      plainBytes: bodyBytes + last.length,
      digest: await digests.finishSealed(),
      partDigests,
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
  const digests = new JobDigests(
    backend,
    job.parts.map((part) => part.digest),
    job.digest,
  )
  const ring = new Ring(backend, digests.set, control)
  const transform = inTurn(job.transform?.bind(job))
  try {
    const head = backend.allocate(job.chunksOffset - job.offset)
    checkOutcome(
      await backend.read(head, [{ file: job.file, offset: job.offset, at: 0, length: head.length }]),
    )
    await digests.feed(digests.sealed(head))

    for (let from = 0; from < job.chunksBytes; from += SEALED_BATCH_BYTES) {
      const size = Math.min(SEALED_BATCH_BYTES, job.chunksBytes - from)
      const firstChunk = from / SEALED_CHUNK_BYTES
      const at = firstChunk * CHUNK_BYTES
      await ring.run(async (slot) => {
        const plain = slot.plain.subarray(0, size - Math.ceil(size / SEALED_CHUNK_BYTES) * 16)
        const input = { file: job.file, offset: job.chunksOffset + from }
        const sealed = slot.sealed(input.offset, size)
        const endsFile = from + size === job.chunksBytes
        const overlaps = overlapsOf(job, at, plain.length)
        const pieces = outputPieces(job, at, overlaps)
        const batch = { key: job.key, firstChunk, endsFile, sealed, input, plain }
        let written = 0
        if (transform === null) {
          written = checkOutcome(await backend.open({ ...batch, output: onlyTarget(pieces, plain.length) }))
        } else await transform(at, plain, async () => backend.open({ ...batch, output: null }))
        return {
          bytes: plain.length,
          write: plain,
          pieces: withoutFirst(pieces, written),
          digest: [...digests.parts(at, overlaps, plain), ...digests.sealed(sealed)],
        }
      })
    }
    await ring.drain()
    return { digest: await digests.finishSealed(), partDigests: await digests.finishParts() }
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
  const digests = backend.createDigests(1)
  const ring = new Ring(backend, digests, control)
  try {
    for (let at = 0; at < length; at += BATCH_BYTES) {
      const size = Math.min(BATCH_BYTES, length - at)
      await ring.run(async (slot) => {
        const bytes = slot.plain.subarray(0, size)
        checkOutcome(await backend.read(bytes, [{ file, offset: offset + at, at: 0, length: size }]))
        return { bytes: size, write: bytes, pieces: [], digest: [{ stream: 0, bytes }] }
      })
    }
    await ring.drain()
    return await digests.finish(0)
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

function overlapsOf(job: DecryptJob, at: number, length: number): readonly Overlap[] {
  return job.parts.flatMap((place, part) => {
    const overlap = overlapOf(at, length, place.offset, place.length)
    return overlap === null ? [] : [{ part, ...overlap }]
  })
}

function outputPieces(job: DecryptJob, at: number, overlaps: readonly Overlap[]): readonly Piece[] {
  return overlaps.flatMap(({ part, from, to }) => {
    const place = job.parts[part]
    if (place === undefined || place.target === null) return []
    const offset = place.target.offset + from - place.offset
    return [{ file: place.target.file, offset, at: from - at, length: to - from }]
  })
}

/** The place all `length` bytes of a batch go to, when there is one such place. */
function onlyTarget(pieces: readonly Piece[], length: number): Piece | null {
  const [piece, ...more] = pieces
  return piece !== undefined && more.length === 0 && piece.at === 0 && piece.length === length ? piece : null
}

/** What is left to write of a batch whose first `written` bytes are written. */
function withoutFirst(pieces: readonly Piece[], written: number): readonly Piece[] {
  return pieces.flatMap(({ file, offset, at, length }) => {
    const skipped = Math.min(Math.max(written - at, 0), length)
    return skipped === length
      ? []
      : [{ file, offset: offset + skipped, at: at + skipped, length: length - skipped }]
  })
}
