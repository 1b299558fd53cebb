/** The age header (C2SP age.md, "Header"): strict reading, canonical writing, authentication. */
import { createHmac, hkdfSync } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { concat, isEqual, parseRawBase64, toRawBase64, toUtf8, wipe } from "../bytes/bytes.ts"
import { LineReader, readStanza, refuse, stanzaLines, type Stanza } from "./stanza.ts"

export interface Header {
  readonly stanzas: readonly Stanza[]
  /** HMAC-SHA256 over the header, 32 bytes. */
  readonly mac: Uint8Array
  /** The header up to and including `---`: what the MAC covers. */
  readonly authenticated: Uint8Array
  /** Length of the whole header with its last newline, bytes. The payload starts here. */
  readonly size: number
}

/** Length of the file key, bytes. */
export const FILE_KEY_BYTES = 16

/** A header is read into memory before it is authenticated, so it is bounded. 1 MiB holds thousands of recipients. */
export const MAX_HEADER_BYTES = 1 << 20
const MAX_STANZAS = 4096

const VERSION_LINE = "age-encryption.org/v1"
const MAC_COLUMNS = 43

/**
 * Reads the header at the start of `bytes`, which may go on with payload. Returns `null` when the header does not end
 * within `bytes`: read more and try again. Throws AGE_MALFORMED for anything the specification forbids.
 */
export function readHeader(bytes: Uint8Array): Header | null {
  const lines = new LineReader(bytes)
  const version = lines.next()
  if (version === null)
    return startsLikeHeader(bytes) ? null : refuse("it does not start with the age version line")
  if (version !== VERSION_LINE) return refuse("it does not start with the age version line")
  const stanzas: Stanza[] = []
  for (;;) {
    const start = lines.at
    const line = lines.next()
    if (line === null) return null
    if (line.startsWith("--- ") || line === "---") {
      return { stanzas, mac: readMac(line), authenticated: bytes.slice(0, start + 3), size: lines.at }
    }
    if (stanzas.length >= MAX_STANZAS) return refuse(`it has more than ${MAX_STANZAS} stanzas`)
    const stanza = readStanza(line, lines)
    if (stanza === null) return null
    stanzas.push(stanza)
  }
}

/** The bytes of a header for these stanzas, authenticated with the file key (16 bytes). */
export function writeHeader(stanzas: readonly Stanza[], fileKey: Uint8Array): Uint8Array<ArrayBuffer> {
  if (stanzas.length === 0) throw new AppError("RECIPIENT_INVALID", "a file needs at least one recipient")
  const lines = [VERSION_LINE]
  for (const stanza of stanzas) lines.push(...stanzaLines(stanza))
  const authenticated = toUtf8(`${lines.join("\n")}\n---`)
  const mac = headerMac(authenticated, fileKey)
  return concat(authenticated, toUtf8(` ${toRawBase64(mac)}\n`))
}

/** Throws AGE_HEADER_FORGED unless the header was written by somebody who knew the file key. */
export function checkHeaderMac(header: Header, fileKey: Uint8Array): void {
  if (!isEqual(headerMac(header.authenticated, fileKey), header.mac)) {
    throw new AppError("AGE_HEADER_FORGED", "the header's authentication code does not match")
  }
}

/** The 32-byte key of the payload for this file key (16 bytes) and payload nonce (16 bytes). The caller wipes it. */
export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", fileKey, nonce, "payload", 32))
}

function headerMac(authenticated: Uint8Array, fileKey: Uint8Array): Uint8Array {
  const key = new Uint8Array(hkdfSync("sha256", fileKey, new Uint8Array(0), "header", 32))
  try {
    return createHmac("sha256", key).update(authenticated).digest()
  } finally {
    wipe(key)
  }
}

function readMac(line: string): Uint8Array {
  const text = line.slice(4)
  const mac = text.length === MAC_COLUMNS ? parseRawBase64(text) : null
  return mac ?? refuse("its authentication code is not 32 bytes of canonical base64")
}

function startsLikeHeader(bytes: Uint8Array): boolean {
  const line = toUtf8(`${VERSION_LINE}\n`)
  return bytes.length < line.length && isEqual(bytes, line.subarray(0, bytes.length))
}
