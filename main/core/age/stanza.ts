/** Stanzas as age writes them: in file headers (C2SP age.md, "Header") and between age and its plugins (age-plugin.md). */
import { AppError } from "../../contract/errors.ts"
import { parseRawBase64, toRawBase64 } from "../bytes/bytes.ts"

/** In a header, one recipient's share: the file key wrapped for it. To a plugin, a command with its arguments. */
export interface Stanza {
  readonly type: string
  readonly args: readonly string[]
  readonly body: Uint8Array
}

const BODY_COLUMNS = 64

/**
 * Reads the stanza whose first line is `line`, taking its body from `lines`. Returns `null` when it does not end within
 * them. Throws AGE_MALFORMED for anything the specification forbids.
 */
export function readStanza(line: string, lines: LineReader): Stanza | null {
  if (!line.startsWith("-> ")) return refuse("a line is neither a stanza nor the end")
  const [type, ...args] = line.slice(3).split(" ")
  if (type === undefined || ![type, ...args].every(isArgument)) {
    return refuse("a stanza argument is empty or not visible ASCII")
  }
  const body = readBody(lines)
  return body === null ? null : { type, args, body }
}

/** The lines of a stanza, without newlines. Throws AGE_MALFORMED for an argument that is not one. */
export function stanzaLines({ type, args, body }: Stanza): readonly string[] {
  const words = [type, ...args]
  if (!words.every(isArgument)) throw new AppError("AGE_MALFORMED", "a stanza argument is not visible ASCII")
  return [`-> ${words.join(" ")}`, ...bodyLines(body)]
}

/** Lines of 7-bit text ended by one newline. Bytes above 0x7f become characters no rule accepts. */
export class LineReader {
  readonly #bytes: Uint8Array
  /** Offset of the next line. */
  at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** The next line without its newline, or `null` when its newline is not in the bytes. */
  next(): string | null {
    const end = this.#bytes.indexOf(0x0a, this.at)
    if (end < 0) return null
    const line = Buffer.from(this.#bytes.subarray(this.at, end)).toString("latin1")
    this.at = end + 1
    return line
  }
}

/** Throws AGE_MALFORMED. */
export function refuse(reason: string): never {
  throw new AppError("AGE_MALFORMED", `not a valid age header: ${reason}`)
}

/** Lines of 64 columns, then one shorter line (which may be empty). */
function readBody(lines: LineReader): Uint8Array | null {
  let text = ""
  for (;;) {
    const line = lines.next()
    if (line === null) return null
    if (line.length > BODY_COLUMNS) return refuse("a line of a stanza body is longer than 64 columns")
    text += line
    if (line.length < BODY_COLUMNS) break
  }
  return parseRawBase64(text) ?? refuse("a stanza body is not canonical base64")
}

function bodyLines(body: Uint8Array): readonly string[] {
  const text = toRawBase64(body)
  const lines: string[] = []
  for (let at = 0; at <= text.length; at += BODY_COLUMNS) lines.push(text.slice(at, at + BODY_COLUMNS))
  return lines
}

/** One or more visible ASCII characters (VCHAR). */
function isArgument(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text)
}
