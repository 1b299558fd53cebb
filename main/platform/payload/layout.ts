/** Where the bytes of a payload come from, stretch by stretch. */
import type { Piece } from "../../../native/lib/payload.ts"
import type { PlainPart } from "../../services/ports.ts"

/** The plaintext of a payload: parts one after another, in memory or in files. */
export interface Layout {
  readonly bytes: number
  /** Copies parts in memory into `plain` (plaintext from `at` on) and returns where the rest is to be read from. */
  fill(at: number, plain: Uint8Array): readonly Piece[]
  /** The parts that have bytes in a stretch of the plaintext; `from` and `to` count from the start of the plaintext. */
  overlaps(at: number, length: number): readonly Overlap[]
}

export interface Overlap {
  readonly part: number
  readonly from: number
  readonly to: number
}

export function layOut(parts: readonly PlainPart[]): Layout {
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
    overlaps: (at, length) =>
      overlapping(at, length).map(({ index, from, to }) => ({ part: index, from, to })),
    fill(at, plain) {
      const pieces: Piece[] = []
      for (const { part, start, from, to } of overlapping(at, plain.length)) {
        if (part.kind === "bytes") plain.set(part.bytes.subarray(from - start, to - start), from - at)
        else {
          const offset = part.offset + from - start
          pieces.push({ file: part.file, offset, at: from - at, length: to - from })
        }
      }
      return pieces
    },
  }
}

/** What `length` bytes at `a` and `bLength` bytes at `b` have in common. */
export function overlapOf(
  a: number,
  aLength: number,
  b: number,
  bLength: number,
): { from: number; to: number } | null {
  const from = Math.max(a, b)
  const to = Math.min(a + aLength, b + bLength)
  return from < to ? { from, to } : null
}
