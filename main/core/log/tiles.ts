/** Names and contents of a log's files (C2SP tlog-tiles): tiles of 256 hashes, bundles of 256 entries. */
import { AppError } from "../../contract/errors.ts"
import { concat } from "../bytes/bytes.ts"

export const TILE_WIDTH = 256
const MAX_ENTRY_BYTES = 0xffff

/** `000`, `x001/234` and so on, with `.p/WIDTH` while the tile is not full. */
export function tileName(number: number, width: number): string {
  const groups: string[] = []
  let rest = number
  do {
    groups.unshift(String(rest % 1000).padStart(3, "0"))
    rest = Math.floor(rest / 1000)
  } while (rest > 0)
  const name = groups.map((group, place) => (place < groups.length - 1 ? `x${group}` : group)).join("/")
  return width === TILE_WIDTH ? name : `${name}.p/${width}`
}

/** Entries one after another, each behind its length (u16, big-endian). Throws LOG_MALFORMED for one that is too long. */
export function entryBundle(entries: readonly Uint8Array[]): Uint8Array {
  return concat(
    ...entries.flatMap((entry) => {
      if (entry.length > MAX_ENTRY_BYTES)
        throw new AppError("LOG_MALFORMED", `an entry of ${entry.length} bytes is too long for a log`)
      return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry]
    }),
  )
}

/** Throws LOG_MALFORMED unless there are exactly `count` entries. */
export function readEntryBundle(bytes: Uint8Array, count: number): readonly Uint8Array[] {
  const entries: Uint8Array[] = []
  let at = 0
  while (at < bytes.length) {
    const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
    if (at + 2 + length > bytes.length || entries.length === count) throw cut()
    entries.push(bytes.subarray(at + 2, at + 2 + length))
    at += 2 + length
  }
  if (entries.length !== count) throw cut()
  return entries
}

function cut(): AppError {
  return new AppError("LOG_MALFORMED", "a bundle of log entries has another length than its name says")
}
