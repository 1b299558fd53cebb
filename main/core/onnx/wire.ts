import { AppError } from "../../contract/errors.ts"
import type { ByteSource } from "../bytes/source.ts"
import type { Encoding, Message } from "./schema.ts"
import { Window } from "./window.ts"

/** A tag and a varint of ten bytes each: the most that `next` looks at. */
const LONGEST_HEADER = 20
/** protobuf's own recursion limit; a subgraph costs three levels (node, attribute, graph). */
const MAX_DEPTH = 100
/** Longest text that is decoded, bytes. */
const MAX_TEXT = 32 * 1024
/** What may be kept of one file, bytes: far more than any model needs, far less than a hostile one could take. */
const MAX_KEPT = 512 * 1024 * 1024
/** A text is more than its letters, bytes. */
const TEXT_OVERHEAD = 32

/** A range of the file, bytes. */
export interface Span {
  readonly offset: number
  readonly length: number
}

/** One message while its fields are walked. */
export interface Scope {
  readonly message: Message
  readonly end: number
  readonly depth: number
  /** Where the next field starts; `next` moves it. */
  at: number
  /** Bit n is set once the singular field n has been seen. */
  seen: number
}

/**
 * Walks the protobuf wire format while holding no more of the source than a window of 64 KiB; what nobody asks for is
 * passed over by position alone. Headers are read synchronously, which is what makes a walk over millions of fields
 * cheap, so a loop over a message keeps the window filled itself:
 *
 *     while (reader.hasMore(scope)) {
 *       if (reader.isStarved(scope)) await reader.load(scope)
 *       switch (reader.next(scope)) { … }
 *     }
 *
 * Throws ONNX_TRUNCATED when a top-level field runs past the end of the file, and ONNX_MALFORMED for a length that
 * leaves its message, a group, a varint above 64 bits, field number 0, a known field in a foreign encoding, a singular
 * field that stands twice, text that is not UTF-8 and nesting beyond 100.
 * Source: https://protobuf.dev/programming-guides/encoding.
 */
export class WireReader {
  readonly #window: Window
  #keptBytes = 0
  // The field `next` found last.
  #fieldOffset = 0
  #wireType = 0
  #offset = 0
  #length = 0
  // The varint read last.
  #low = 0
  #high = 0

  constructor(source: ByteSource) {
    this.#window = new Window(source)
  }

  /** Position of the field's tag. */
  get fieldOffset(): number {
    return this.#fieldOffset
  }

  /** Where the field's value stands. */
  get span(): Span {
    return { offset: this.#offset, length: this.#length }
  }

  /** Length of the field's value, bytes. */
  get length(): number {
    return this.#length
  }

  /** True when the value has a length of its own: a message, text, bytes or a packed list. */
  get isBlock(): boolean {
    return this.#wireType === BLOCK
  }

  /** True when the value is a single varint. */
  get isVarint(): boolean {
    return this.#wireType === VARINT
  }

  /** The whole file as one message. */
  open(message: Message): Scope {
    return { message, end: this.#window.sourceSize, depth: 0, at: 0, seen: 0 }
  }

  /** The message that stands in `span`, by default in the current field. */
  enter(parent: Scope, message: Message, span: Span = this.span): Scope {
    if (parent.depth >= MAX_DEPTH) throw malformed(span.offset, `nested deeper than ${MAX_DEPTH} messages`)
    return { message, end: span.offset + span.length, depth: parent.depth + 1, at: span.offset, seen: 0 }
  }

  hasMore(scope: Scope): boolean {
    return scope.at < scope.end
  }

  /** True when the window might end inside the next header: `load` comes first. */
  isStarved(scope: Scope): boolean {
    return !this.#window.holds(scope.at, Math.min(scope.at + LONGEST_HEADER, scope.end))
  }

  async load(scope: Scope): Promise<void> {
    await this.#window.moveTo(scope.at, 0)
  }

  /** Steps to the next field and returns its number. What the caller does not read of its value is skipped. */
  next(scope: Scope): number {
    this.#fieldOffset = scope.at
    const valueAt = this.#varint(scope, scope.at)
    const number = this.#low >>> 3
    if (number === 0 || this.#high !== 0) throw malformed(scope.at, "a field number outside of 1 to 2^29-1")
    this.#wireType = this.#low & 7
    this.#checkKnown(scope, number)
    if (this.#wireType === BLOCK) {
      this.#offset = this.#varint(scope, valueAt)
      this.#length = (this.#high >>> 0) * 2 ** 32 + (this.#low >>> 0)
    } else {
      this.#offset = valueAt
      this.#length = this.#scalarLength(scope, valueAt)
    }
    const end = this.#offset + this.#length
    if (end > scope.end) throw pastEnd(scope)
    scope.at = end
    return number
  }

  /** Steps to the next varint of a packed list. */
  nextVarint(scope: Scope): void {
    this.#offset = scope.at
    scope.at = this.#varint(scope, scope.at)
    this.#length = scope.at - this.#offset
  }

  /** Steps to the next fixed32 of a packed list, which holds a whole number of them. */
  nextFixed32(scope: Scope): void {
    this.#offset = scope.at
    this.#length = 4
    scope.at += 4
  }

  /** The varint as a number. Throws ONNX_MALFORMED beyond ±2^53. */
  integer(): number {
    const value = this.int64()
    if (typeof value === "bigint") throw malformed(this.#offset, `the number ${value} is too large`)
    return value
  }

  /** The varint as a signed 64-bit integer; a bigint only beyond ±2^53. */
  int64(): number | bigint {
    const value = this.#high * 2 ** 32 + (this.#low >>> 0)
    if (Number.isSafeInteger(value)) return value
    return (BigInt(this.#high) << 32n) | BigInt(this.#low >>> 0)
  }

  /** The fixed32 field as a float. */
  float(): number {
    return this.#window.float(this.#offset)
  }

  /** The field as text. Throws ONNX_MALFORMED when it is not UTF-8 or longer than 32 KiB. */
  async text(): Promise<string> {
    if (this.#length > MAX_TEXT) throw malformed(this.#offset, `a name of ${this.#length} bytes`)
    const text = await this.textIfShort()
    if (text === null) throw malformed(this.#offset, "text that is not UTF-8")
    return text
  }

  /** The field as text, or `null` when it is not UTF-8 or longer than 32 KiB. */
  async textIfShort(): Promise<string | null> {
    if (this.#length > MAX_TEXT) return null
    this.keep(this.#length + TEXT_OVERHEAD)
    const end = this.#offset + this.#length
    if (!this.#window.holds(this.#offset, end)) await this.#window.moveTo(this.#offset, this.#length)
    return this.#window.text(this.#offset, end)
  }

  /**
   * Counts what is about to be kept, as a generous estimate in bytes; texts are counted by themselves. Throws
   * ONNX_MALFORMED above 512 MiB, so that a file of tiny pieces cannot grow into many times its size in memory.
   */
  keep(bytes: number): void {
    this.#keptBytes += bytes
    if (this.#keptBytes > MAX_KEPT)
      throw malformed(this.#fieldOffset, `an index of more than ${MAX_KEPT} bytes`)
  }

  /** Reads the varint at `at` and returns the position behind it. */
  #varint(scope: Scope, at: number): number {
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= scope.end) throw pastEnd(scope)
      const byte = this.#window.byte(at)
      at += 1
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else high |= bits << (shift - 32)
      if (shift === 63 && byte > 1) break
      if (byte < 0x80) {
        this.#low = low
        this.#high = high
        return at
      }
    }
    throw malformed(at, "a varint of more than 64 bits")
  }

  #scalarLength(scope: Scope, at: number): number {
    if (this.#wireType === VARINT) return this.#varint(scope, at) - at
    if (this.#wireType === FIXED64) return 8
    if (this.#wireType === FIXED32) return 4
    throw malformed(scope.at, `wire type ${this.#wireType}, which ONNX does not use`)
  }

  /** Where readers could disagree about a known field, there is nothing to agree on: it is refused. */
  #checkKnown(scope: Scope, number: number): void {
    const encoding = number < 32 ? scope.message.encodings[number] : undefined
    if (encoding === undefined) return
    if (((WIRE_TYPES[encoding] >>> this.#wireType) & 1) === 0) {
      throw malformed(scope.at, `field ${number} of a ${scope.message.what} as wire type ${this.#wireType}`)
    }
    if (REPEATED.has(encoding)) return
    if (((scope.seen >>> number) & 1) === 1)
      throw malformed(scope.at, `field ${number} of a ${scope.message.what} twice`)
    scope.seen |= 1 << number
  }
}

/** A fault of the model's bytes at a position in the file. */
export function malformed(offset: number, reason: string): AppError {
  return new AppError("ONNX_MALFORMED", `the model is malformed at byte ${offset}: ${reason}`)
}

const VARINT = 0
const FIXED64 = 1
const BLOCK = 2
const FIXED32 = 5

/** Wire types an encoding may come in, one bit each. */
const WIRE_TYPES: Readonly<Record<Encoding, number>> = {
  varint: 1 << VARINT,
  varints: (1 << VARINT) | (1 << BLOCK),
  fixed32: 1 << FIXED32,
  fixed32s: (1 << FIXED32) | (1 << BLOCK),
  fixed64s: (1 << FIXED64) | (1 << BLOCK),
  block: 1 << BLOCK,
  blocks: 1 << BLOCK,
}
const REPEATED: ReadonlySet<Encoding> = new Set(["varints", "fixed32s", "fixed64s", "blocks"])

/** Every message but the file itself lies inside one that was found whole: only the file can be cut. */
function pastEnd(scope: Scope): AppError {
  return scope.depth === 0
    ? new AppError(
        "ONNX_TRUNCATED",
        `the model ends at byte ${scope.end}, inside its field at byte ${scope.at}`,
      )
    : malformed(scope.at, `a field that leaves its ${scope.message.what}`)
}
