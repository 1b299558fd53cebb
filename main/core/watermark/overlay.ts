/**
 * The overlay of fleet mode (docs/FORMAT.md 6): the values one device has in place of the filler every device shares, as
 * runs of elements over the model's files. Reading it is strict and costs no memory but its own bytes: a run is never
 * turned into an object.
 */
import { toUtf8 } from "../bytes/bytes.ts"
import { RunCursor } from "./overlay-runs.ts"
import { checkSegment, malformed, type ReadSegment } from "./overlay-segment.ts"

/** What ties an overlay to one package and one device. Each 32 bytes, the salt 16. */
export interface OverlayBinding {
  /** SHA-256 of the payload (the age file) the overlay goes over. */
  readonly base: Uint8Array
  /** Root digest of the assembled model, as in `grant.json`. */
  readonly model: Uint8Array
  readonly deviceSalt: Uint8Array
  /** SHA-256 of the salt and the device's recipient text; see `overlayDevice`. */
  readonly device: Uint8Array
}

/** An overlay whose every run was checked. Views share the bytes it was read from: its owner wipes those. */
export interface Overlay extends OverlayBinding {
  readonly segments: readonly ReadSegment[]
  /** All runs, one segment after another. */
  readonly runs: Uint8Array
}

export const OVERLAY_MAGIC = toUtf8("SWOVRLAY")
export const OVERLAY_VERSION = 1
/** Where the fields of the header stand, bytes. */
export const HEADER = {
  version: 8,
  segments: 12,
  base: 16,
  model: 48,
  salt: 80,
  device: 96,
  bytes: 128,
} as const
/** Where the fields of an entry of the segment table stand, bytes. */
export const ENTRY = {
  file: 0,
  elementBytes: 4,
  keptBytes: 5,
  reserved: 6,
  offset: 8,
  elements: 16,
  replaced: 24,
  bytes: 32,
} as const
/** A model of a hundred thousand tensors has no more. */
const MAX_SEGMENTS = 1 << 17

/**
 * Reads and checks a whole overlay: header, table, every run, every count, and that nothing follows. Throws
 * OVERLAY_MALFORMED. Takes time linear in its bytes; allocates the segment table, whose size is bounded by the bytes.
 */
export function readOverlay(bytes: Uint8Array): Overlay {
  const segmentCount = readHeader(bytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const segments: ReadSegment[] = []
  let previous: ReadSegment | null = null
  for (let index = 0; index < segmentCount; index += 1) {
    const segment = readEntry(view, HEADER.bytes + index * ENTRY.bytes)
    checkSegment(segment, previous)
    segments.push(segment)
    previous = segment
  }
  const runs = bytes.subarray(HEADER.bytes + segmentCount * ENTRY.bytes)
  checkRuns(segments, runs)
  const field = (at: number, size: number) => bytes.subarray(at, at + size)
  return {
    base: field(HEADER.base, 32),
    model: field(HEADER.model, 32),
    deviceSalt: field(HEADER.salt, 16),
    device: field(HEADER.device, 32),
    segments,
    runs,
  }
}

/** The number of segments, once the fixed part and room for the table are there. */
function readHeader(bytes: Uint8Array): number {
  if (bytes.length < HEADER.bytes || OVERLAY_MAGIC.some((byte, index) => bytes[index] !== byte))
    throw malformed("it does not start like one")
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getUint32(HEADER.version, true)
  if (version !== OVERLAY_VERSION) throw malformed(`its version is ${version}`)
  const count = view.getUint32(HEADER.segments, true)
  if (count < 1 || count > MAX_SEGMENTS) throw malformed(`it claims ${count} segments`)
  if (bytes.length - HEADER.bytes < count * ENTRY.bytes) throw malformed("it ends inside its segment table")
  return count
}

function readEntry(view: DataView, at: number): ReadSegment {
  if (view.getUint16(at + ENTRY.reserved, true) !== 0) throw malformed("a reserved field is not zero")
  return {
    file: view.getUint32(at + ENTRY.file, true),
    elementBytes: view.getUint8(at + ENTRY.elementBytes),
    keptBytes: view.getUint8(at + ENTRY.keptBytes),
    offset: readCount(view, at + ENTRY.offset),
    elements: readCount(view, at + ENTRY.elements),
    replaced: readCount(view, at + ENTRY.replaced),
  }
}

function readCount(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed("a number in it exceeds 2^53 - 1")
  return Number(value)
}

function checkRuns(segments: readonly ReadSegment[], runs: Uint8Array): void {
  const cursor = new RunCursor(segments, runs)
  let runsSeen = 0
  while (cursor.next()) runsSeen += 1
  if (runsSeen === 0) throw malformed("it replaces nothing")
  if (cursor.at !== runs.length) throw malformed("something follows its last run")
}
