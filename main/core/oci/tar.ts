/**
 * The part of tar (POSIX ustar, with GNU's binary sizes) that .seal files and payloads use: regular files with safe
 * relative names, nothing else. What GNU tar, bsdtar and Go read in more than one way is refused.
 */
import { AppError } from "../../contract/errors.ts"
import { readUtf8, toUtf8 } from "../bytes/bytes.ts"
import type { ByteSource } from "../bytes/source.ts"

export const TAR_BLOCK_BYTES = 512
/** Two zero blocks end an archive. */
export const TAR_END = new Uint8Array(2 * TAR_BLOCK_BYTES)

export interface TarEntry {
  /** Relative, forward slashes, UTF-8, no `.` or `..` segment. */
  readonly name: string
  /** Offset of the content, bytes. */
  readonly offset: number
  /** Length of the content, bytes. */
  readonly size: number
}

/** Longest name a header without extensions holds, bytes. */
const NAME_BYTES = 100
const PREFIX_BYTES = 155
/** Largest size eleven octal digits hold; above it the size is binary (GNU, and read by everyone). */
const MAX_OCTAL_SIZE = 0o77777777777
const MAX_ENTRIES = 100_000
/** A pax header is a few short records. */
const MAX_PAX_BYTES = 1 << 16

/** The header block(s) of a regular file: 512 bytes, or 1536 when the name needs a pax record. Same input, same bytes. */
export function tarHeader(name: string, size: number): Uint8Array {
  checkEntryName(name)
  const split = splitName(name)
  if (split !== null) return headerBlock(split.name, split.prefix, size, "0")
  const record = paxRecord("path", name)
  const padded = new Uint8Array(Math.ceil(record.length / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES)
  padded.set(record)
  const short = toUtf8("long-name")
  const none = new Uint8Array(0)
  const blocks = [
    headerBlock(toUtf8("PaxHeader"), none, record.length, "x"),
    padded,
    headerBlock(short, none, size, "0"),
  ]
  return Uint8Array.from(Buffer.concat(blocks))
}

/** Zeros after content of `size` bytes up to the next block. */
export function tarPadding(size: number): Uint8Array {
  return new Uint8Array((TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES)
}

/** Cheap look at the first 512 bytes: whether they are the header of a tar. Never throws. */
export function isTar(head: Uint8Array): boolean {
  return head.length >= TAR_BLOCK_BYTES && readText(head.subarray(257, 262)) === "ustar"
}

/** Where every entry of an archive lies; contents are skipped. Throws SEAL_TRUNCATED, SEAL_UNSAFE_NAME, SEAL_MALFORMED. */
export async function readTar(archive: ByteSource): Promise<readonly TarEntry[]> {
  const entries: TarEntry[] = []
  const names = new Set<string>()
  let extended: Extended | null = null
  for (let at = 0; ;) {
    if (at + TAR_BLOCK_BYTES > archive.size) throw truncated(archive.size)
    const header = await archive.read(at, TAR_BLOCK_BYTES)
    if (header.every((byte) => byte === 0)) {
      await checkEnd(archive, at, extended)
      return entries
    }
    const { name, size: stated, type } = readHeaderBlock(header, at)
    const size: number = type === "x" ? stated : (extended?.size ?? stated)
    const offset = at + TAR_BLOCK_BYTES
    const next = offset + Math.ceil(size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES
    if (next > archive.size) throw truncated(archive.size)
    const padding = await archive.read(offset + size, next - offset - size)
    if (padding.some((byte) => byte !== 0)) throw malformed(`the padding before byte ${next} is not zeros`)
    at = next
    if (type === "x") {
      if (extended !== null) throw malformed("two extended headers in a row")
      extended = await readExtended(archive, offset, size)
      continue
    }
    // Tools that archive a folder write ./ in front of every name.
    const entryName: string = (extended?.path ?? name).replace(/^\.\//, "")
    extended = null
    if (type === "5") continue // folders carry nothing we use; names are checked on the files inside them
    if (type !== "0")
      throw malformed(`an entry of type ${JSON.stringify(type)}: only regular files are allowed`)
    checkEntryName(entryName)
    if (names.has(entryName)) throw malformed(`the name ${JSON.stringify(entryName)} stands twice`)
    if (entries.length >= MAX_ENTRIES) throw malformed(`more than ${MAX_ENTRIES} entries`)
    names.add(entryName)
    entries.push({ name: entryName, offset, size })
  }
}

/** Throws SEAL_UNSAFE_NAME unless the name is a plain relative path: what is unpacked must stay where it is unpacked. */
function checkEntryName(name: string): void {
  const segments = name.split("/")
  const isSafe =
    name.length > 0 &&
    name.length <= 4096 &&
    !Array.from(name).some((char) => char < " " || char === "\u007f" || char === "\\") &&
    !/^[A-Za-z]:/.test(name) &&
    segments.every((segment) => segment !== "" && segment !== "." && segment !== "..")
  if (!isSafe)
    throw new AppError(
      "SEAL_UNSAFE_NAME",
      `an entry has the unsafe name ${JSON.stringify(name.slice(0, 100))}`,
    )
}

async function checkEnd(archive: ByteSource, at: number, extended: Extended | null): Promise<void> {
  if (extended !== null) throw malformed("an extended header without an entry")
  if (at + 2 * TAR_BLOCK_BYTES > archive.size) throw truncated(archive.size)
  // Tools pad archives to their record size with zeros; anything else would be content no index mentions.
  for (let from = at; from < archive.size; from += MAX_PAX_BYTES) {
    const rest = await archive.read(from, Math.min(MAX_PAX_BYTES, archive.size - from))
    if (rest.some((byte) => byte !== 0)) throw malformed("bytes after the end of the archive")
    if (from - at > 1 << 20) throw malformed("more than 1 MiB of padding")
  }
}

function headerBlock(name: Uint8Array, prefix: Uint8Array, size: number, type: string): Uint8Array {
  const block = new Uint8Array(TAR_BLOCK_BYTES)
  const put = (at: number, text: string) => block.set(toUtf8(text), at)
  block.set(name, 0)
  put(100, "0000644\0")
  put(108, "0000000\0")
  put(116, "0000000\0")
  if (size <= MAX_OCTAL_SIZE) put(124, `${size.toString(8).padStart(11, "0")}\0`)
  else {
    block[124] = 0x80
    new DataView(block.buffer).setBigUint64(128, BigInt(size))
  }
  put(136, "00000000000\0")
  put(148, "        ")
  put(156, type)
  put(257, "ustar\u000000")
  block.set(prefix, 345)
  const sum = block.reduce((total, byte) => total + byte, 0)
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `)
  return block
}

function readHeaderBlock(
  header: Uint8Array,
  at: number,
): { readonly name: string; readonly size: number; readonly type: string } {
  let sum = 8 * 0x20
  header.forEach((byte, index) => {
    if (index < 148 || index >= 156) sum += byte
  })
  // The one way every tool in use writes it; a second spelling of the same archive would be a second file.
  const spelling = /^([0-7]{6})\0 $/.exec(Buffer.from(header.subarray(148, 156)).toString("latin1"))
  if (spelling?.[1] === undefined || Number.parseInt(spelling[1], 8) !== sum)
    throw malformed(`the header at byte ${at} has a wrong checksum`)
  const magic = readText(header.subarray(257, 263))
  if (magic !== "ustar" && magic !== "ustar ") throw malformed(`the header at byte ${at} is not ustar`)
  const size = readSize(header.subarray(124, 136))
  if (size === null) throw malformed(`the header at byte ${at} has a bad size`)
  const flag = header[156] ?? 0
  // GNU's old format keeps other things where POSIX has the prefix.
  const prefix = magic === "ustar" ? readText(header.subarray(345, 500)) : ""
  const name = readText(header.subarray(0, 100))
  if (name === null || prefix === null) throw unsafeBytes()
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    size,
    type: flag === 0 ? "0" : String.fromCharCode(flag),
  }
}

function readSize(field: Uint8Array): number | null {
  if (field[0] !== 0x80) return readOctal(field)
  const value = new DataView(field.buffer, field.byteOffset, field.length).getBigUint64(4)
  const isSmall = field.subarray(1, 4).every((byte) => byte === 0) && value <= BigInt(Number.MAX_SAFE_INTEGER)
  return isSmall ? Number(value) : null
}

function readOctal(field: Uint8Array): number | null {
  const match = /^ *([0-7]+)[ \0]*$/.exec(Buffer.from(field).toString("latin1"))
  return match?.[1] === undefined ? null : Number.parseInt(match[1], 8)
}

/** Text up to the first zero byte, or `null` when it is not UTF-8. */
function readText(field: Uint8Array): string | null {
  const end = field.indexOf(0)
  return readUtf8(end < 0 ? field : field.subarray(0, end))
}

/** What an extended header may say about the entry behind it. */
interface Extended {
  readonly path: string | null
  readonly size: number | null
}

/** A pax extended header may carry a long path or a large size, and otherwise only what does not matter to us. */
async function readExtended(archive: ByteSource, offset: number, size: number): Promise<Extended> {
  if (size > MAX_PAX_BYTES) throw malformed("an extended header is larger than 64 KiB")
  const bytes = Uint8Array.from(await archive.read(offset, size))
  const records = new Map<string, string>()
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at)
    const length = space < 0 ? Number.NaN : Number(readUtf8(bytes.subarray(at, space)) ?? "x")
    const end = at + length
    if (!Number.isInteger(length) || length <= space - at || end > bytes.length || bytes[end - 1] !== 0x0a) {
      throw malformed("an extended header does not parse")
    }
    const record = readUtf8(bytes.subarray(space + 1, end - 1))
    if (record === null) throw unsafeBytes()
    const [key, value] = [record.slice(0, record.indexOf("=")), record.slice(record.indexOf("=") + 1)]
    if (records.has(key)) throw malformed(`an extended header sets ${key.slice(0, 40)} twice`)
    if (!PAX_KEYS.test(key)) throw malformed(`an extended header sets ${key.slice(0, 40)}`)
    records.set(key, value)
    at = end
  }
  const sizeText = records.get("size")
  if (sizeText !== undefined && !/^(0|[1-9]\d{0,15})$/.test(sizeText))
    throw malformed("an extended header has a bad size")
  return { path: records.get("path") ?? null, size: sizeText === undefined ? null : Number(sizeText) }
}

/** Keys that are used (path, size) or harmless; a key that could redirect an entry (linkpath, GNU.sparse…) is refused. */
const PAX_KEYS = /^(path|size|[acm]time|comment|LIBARCHIVE\.[A-Za-z.]+|[ug](id|name))$/

function paxRecord(key: string, value: string): Uint8Array {
  const rest = toUtf8(` ${key}=${value}\n`)
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return toUtf8(`${length} ${key}=${value}\n`)
}

/** The name as it fits into a header: whole, or split at a slash into prefix and name; `null` when it does not fit. */
function splitName(name: string): { readonly name: Uint8Array; readonly prefix: Uint8Array } | null {
  const bytes = toUtf8(name)
  if (bytes.length <= NAME_BYTES) return { name: bytes, prefix: new Uint8Array(0) }
  for (let slash = bytes.indexOf(0x2f); slash >= 0; slash = bytes.indexOf(0x2f, slash + 1)) {
    const rest = bytes.subarray(slash + 1)
    if (slash <= PREFIX_BYTES && rest.length <= NAME_BYTES && rest.length > 0) {
      return { name: rest, prefix: bytes.subarray(0, slash) }
    }
  }
  return null
}

function truncated(size: number): AppError {
  return new AppError(
    "SEAL_TRUNCATED",
    `the archive ends at byte ${size}, inside an entry or before its end mark`,
  )
}

function malformed(reason: string): AppError {
  return new AppError("SEAL_MALFORMED", `not a valid archive: ${reason}`)
}

function unsafeBytes(): AppError {
  return new AppError("SEAL_UNSAFE_NAME", "an entry has a name that is not UTF-8")
}
