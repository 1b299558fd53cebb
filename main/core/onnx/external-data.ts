import { AppError } from "../../contract/errors.ts"
import type { Entry } from "./entry.ts"
import { malformed, type Span } from "./wire.ts"

/** Values that stand in a file beside the model (TensorProto.external_data). */
export interface ExternalStorage extends Span {
  readonly kind: "external"
  /** Path relative to the model's folder, checked by `checkExternalLocation`. `offset` and `length` are bytes in that file. */
  readonly location: string
  /** SHA-1 of the whole external file as the model states it, and where its 40 hex digits stand in the model file. */
  readonly checksum: { readonly digest: string; readonly offset: number } | null
}

/**
 * The storage that external_data entries describe, for a tensor that needs `byteLength` bytes. Throws
 * ONNX_EXTERNAL_OUTSIDE for an unsafe location, ONNX_MALFORMED for a missing location, a key that stands twice, a number
 * that is not plain decimal, and a length other than `byteLength`. `at` is the tensor's place in the model file.
 */
export function toExternalStorage(
  entries: readonly Entry[],
  byteLength: number,
  at: number,
): ExternalStorage {
  const byKey = new Map(entries.map((entry) => [entry.key, entry]))
  if (byKey.size < entries.length) throw malformed(at, "an external data key that stands twice")
  const location = byKey.get("location")
  if (location === undefined) throw malformed(at, "external data without a location")
  if (location.value === null) throw outside("is not UTF-8 or far too long")
  checkExternalLocation(location.value)

  const offset = parseDecimal(byKey.get("offset"), at) ?? 0
  const length = parseDecimal(byKey.get("length"), at) ?? byteLength
  if (length !== byteLength)
    throw malformed(at, `external data of ${length} bytes for a tensor of ${byteLength} bytes`)
  if (!Number.isSafeInteger(offset + length)) throw malformed(at, "external data beyond 2^53 bytes")
  return {
    kind: "external",
    location: location.value,
    offset,
    length,
    checksum: toChecksum(byKey.get("checksum")),
  }
}

/**
 * Throws ONNX_EXTERNAL_OUTSIDE unless the location is a relative path with forward slashes that stays below the model's
 * folder on every system. Links in the folder are not its business: whoever opens the file must refuse those.
 * Source: onnx docs/ExternalDataSecurity.md.
 */
export function checkExternalLocation(location: string): void {
  if (location.length === 0) throw outside("is empty")
  if (location.length > MAX_LOCATION) throw outside(`is longer than ${MAX_LOCATION} characters`)
  if (!location.isWellFormed()) throw outside("is not valid Unicode")
  if (hasControlCharacter(location)) throw outside("holds a control character")
  if (location.includes("\\")) throw outside("holds a backslash")
  // Covers drive letters, URLs and NTFS alternate streams.
  if (location.includes(":")) throw outside("holds a colon")
  // onnxruntime's mark for "offset is an address in this process": a file that says so could read any memory.
  if (location.startsWith("*/_ORT_MEM_ADDR_/")) throw outside("is a memory address")
  for (const segment of location.split("/")) {
    // An empty first segment is an absolute path. Windows drops trailing dots and spaces, so ".. " means "..".
    if (/^[. ]*$/.test(segment)) throw outside(`has the segment ${JSON.stringify(segment)}`)
  }
}

const MAX_LOCATION = 4096

function outside(reason: string): AppError {
  return new AppError("ONNX_EXTERNAL_OUTSIDE", `an external data location ${reason}`)
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i)
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return true
  }
  return false
}

function parseDecimal(entry: Entry | undefined, at: number): number | undefined {
  if (entry === undefined) return undefined
  const text = entry.value ?? ""
  const value = Number(text)
  if (!/^(0|[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(value))
    throw malformed(at, `an external data ${entry.key} that is not a plain number below 2^53`)
  return value
}

/** A checksum in another spelling cannot be refreshed in place, and nothing depends on it: it is left alone. */
function toChecksum(entry: Entry | undefined): ExternalStorage["checksum"] {
  if (entry === undefined || entry.value === null || !/^[0-9a-fA-F]{40}$/.test(entry.value)) return null
  return { digest: entry.value, offset: entry.valueSpan.offset }
}
