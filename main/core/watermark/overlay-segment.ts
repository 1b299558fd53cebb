/** The stretches of files an overlay may touch (docs/FORMAT.md 6.2). */
import { AppError } from "../../contract/errors.ts"

/** One stretch of a file that runs may replace elements of. */
export interface OverlaySegment {
  /** Index of the file in the payload's order: 0 is the model, then its external data (FORMAT 4.2). */
  readonly file: number
  /** Where the stretch starts in the file, bytes. */
  readonly offset: number
  /** Bytes an element: 1, 2, 4 or 8. */
  readonly elementBytes: number
  /** Low-order bytes of every element that stay the payload's: runs hold the others only. Less than `elementBytes`. */
  readonly keptBytes: number
  /** Length of the stretch, elements. */
  readonly elements: number
}

/** A segment as it stands in an overlay. */
export interface ReadSegment extends OverlaySegment {
  /** How many elements the runs of this segment replace. */
  readonly replaced: number
}

/** The file index and every length are claims; these are the largest that can mean anything. */
const MAX_FILES = 1 << 16
const ELEMENT_SIZES = new Set([1, 2, 4, 8])

/** Throws OVERLAY_MALFORMED unless the segment is well-formed and stands after `previous`. */
export function checkSegment(segment: OverlaySegment, previous: OverlaySegment | null): void {
  const { file, offset, elementBytes, keptBytes, elements } = segment
  if (!ELEMENT_SIZES.has(elementBytes)) throw malformed(`an element is ${elementBytes} bytes long`)
  if (keptBytes >= elementBytes) throw malformed(`of ${elementBytes} bytes an element it keeps ${keptBytes}`)
  if (file >= MAX_FILES || elements < 1 || !Number.isSafeInteger(endOf(segment)))
    throw malformed("a segment lies nowhere")
  if (previous === null) return
  const isAfter = file > previous.file || (file === previous.file && offset >= endOf(previous))
  if (!isAfter) throw malformed("its segments are not in ascending order")
}

/** Where a segment ends in its file, bytes. */
export function endOf({ offset, elements, elementBytes }: OverlaySegment): number {
  return offset + elements * elementBytes
}

export function malformed(reason: string): AppError {
  return new AppError("OVERLAY_MALFORMED", `the overlay is not valid: ${reason}`)
}
