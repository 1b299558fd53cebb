/** Puts an overlay over the plaintext of a payload while it streams by (docs/FORMAT.md 6.4). */
import { createHash } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { isEqual, toUtf8 } from "../bytes/bytes.ts"
import type { Overlay, OverlayBinding } from "./overlay.ts"
import { RunCursor } from "./overlay-runs.ts"
import { endOf, malformed } from "./overlay-segment.ts"

/** Where a file of the model stands in the plaintext, bytes. */
export interface FilePlace {
  readonly offset: number
  readonly size: number
}

/** The device field of an overlay: SHA-256 over salt (16 bytes) and the device's recipient text. */
export function overlayDevice(salt: Uint8Array, recipient: string): Uint8Array {
  return createHash("sha256").update(salt).update(toUtf8(recipient)).digest()
}

/**
 * Throws OVERLAY_MISMATCH unless the overlay is for this payload (`base`: SHA-256 of the age file), this model (root digest
 * of the assembled files) and this device (its recipient text).
 */
export function checkBinding(
  overlay: OverlayBinding,
  expected: { readonly base: Uint8Array; readonly model: Uint8Array; readonly recipient: string },
): void {
  if (!isEqual(overlay.base, expected.base)) throw mismatch("another payload")
  if (!isEqual(overlay.model, expected.model)) throw mismatch("another model")
  if (!isEqual(overlay.device, overlayDevice(overlay.deviceSalt, expected.recipient)))
    throw mismatch("another device")
}

/**
 * Merges two sorted streams, plaintext and runs, in constant memory. Hand it every stretch of the plaintext once and in
 * order (what the payload engine's `transform` does); a run may straddle stretches of any size. Nothing may be used of the
 * plaintext before `finish` returned and the assembled files matched their signature.
 */
export class OverlayApplier {
  readonly #overlay: Overlay
  readonly #files: readonly FilePlace[]
  readonly #runs: RunCursor
  /** Offset of the plaintext that comes next. */
  #at = 0
  /** The run to be written: where it goes in the plaintext, its bytes, and how many of them are written. */
  #target = Number.POSITIVE_INFINITY
  #written = 0
  /** Bytes an element of the run's segment, and how many of them stay. */
  #elementBytes = 1
  #keptBytes = 0

  /**
   * `files`: the model and its external data in the payload's order. Throws OVERLAY_MALFORMED when a segment is not inside
   * its file, before anything is changed.
   */
  constructor(overlay: Overlay, files: readonly FilePlace[]) {
    for (const segment of overlay.segments) {
      const file = files[segment.file]
      if (file === undefined || endOf(segment) > file.size) throw malformed("a segment lies outside its file")
    }
    this.#overlay = overlay
    this.#files = files
    this.#runs = new RunCursor(overlay.segments, overlay.runs)
    this.#nextRun()
  }

  /** Changes `plain`, which stands at `offset` of the plaintext, in place. */
  apply(offset: number, plain: Uint8Array): void {
    if (offset !== this.#at) throw new RangeError(`expected plaintext from ${this.#at}, got ${offset}`)
    const end = offset + plain.length
    this.#at = end
    const values = this.#overlay.runs
    while (this.#target < end) {
      const from = this.#target + this.#written
      const length = Math.min(this.#runs.length - this.#written, end - from)
      const valuesAt = this.#runs.valuesAt + this.#written
      // Runs are a few elements long: a loop beats a call into the engine's copy for those.
      if (this.#keptBytes > 0) this.#writeHigh(plain, from - offset, length)
      else if (length <= 64) {
        const to = from - offset
        for (let index = 0; index < length; index += 1) plain[to + index] = values[valuesAt + index] ?? 0
      } else plain.set(values.subarray(valuesAt, valuesAt + length), from - offset)
      this.#written += length
      if (this.#written < this.#runs.length) return
      this.#nextRun()
    }
  }

  /** Throws OVERLAY_MALFORMED when the plaintext ended before the runs did. */
  finish(): void {
    if (this.#target !== Number.POSITIVE_INFINITY) throw malformed("it reaches beyond the payload")
  }

  /** Bytes `#written` on of a run whose elements keep their low-order bytes. */
  #writeHigh(plain: Uint8Array, to: number, length: number): void {
    const [size, kept] = [this.#elementBytes, this.#keptBytes]
    for (let i = 0; i < length; i += 1) {
      const byte = (this.#written + i) % size
      if (byte < kept) continue
      const element = (this.#written + i - byte) / size
      plain[to + i] = this.#overlay.runs[this.#runs.valuesAt + element * (size - kept) + byte - kept] ?? 0
    }
  }

  #nextRun(): void {
    this.#written = 0
    this.#target = Number.POSITIVE_INFINITY
    if (!this.#runs.next()) return
    const segment = this.#overlay.segments[this.#runs.segment]
    const file = this.#files[segment?.file ?? -1]
    if (segment === undefined || file === undefined) throw new RangeError("a run without a segment")
    this.#elementBytes = segment.elementBytes
    this.#keptBytes = segment.keptBytes
    this.#target = file.offset + segment.offset + this.#runs.start
  }
}

/** The same in one go, over a plaintext that is whole in memory. */
export function applyOverlay(overlay: Overlay, plain: Uint8Array, files: readonly FilePlace[]): void {
  const applier = new OverlayApplier(overlay, files)
  applier.apply(0, plain)
  applier.finish()
}

function mismatch(what: string): AppError {
  return new AppError("OVERLAY_MISMATCH", `the overlay in the grant is for ${what}`)
}
