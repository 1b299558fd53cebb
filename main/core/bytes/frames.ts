/**
 * Messages over a byte stream: a JSON header for what it means and raw bytes for what it carries, so that tensors and
 * secrets never travel as JSON. Frame: u32 LE header length, u48 LE body length, header, body.
 */
import { AppError } from "../../contract/errors.ts"
import { concat, readUtf8, toUtf8 } from "./bytes.ts"
import type { Json } from "./json.ts"

const PREFIX_BYTES = 10
const MAX_HEADER_BYTES = 1 << 20

export interface Frame {
  readonly header: Json
  readonly body: Uint8Array<ArrayBuffer>
}

/** The parts to write one after another; bodies are not copied. */
export function frameParts(
  header: object | string,
  bodies: readonly Uint8Array[] = [],
): readonly Uint8Array[] {
  const json = toUtf8(JSON.stringify(header))
  const bodyBytes = bodies.reduce((sum, body) => sum + body.length, 0)
  const prefix = new Uint8Array(PREFIX_BYTES)
  const view = new DataView(prefix.buffer)
  view.setUint32(0, json.length, true)
  view.setUint32(4, bodyBytes % 2 ** 32, true)
  view.setUint16(8, Math.floor(bodyBytes / 2 ** 32), true)
  return [concat(prefix, json), ...bodies]
}

/** Puts frames together from a stream. Bodies above `maxBodyBytes` are refused before memory is taken for them. */
export class FrameReader {
  readonly #maxBodyBytes: number
  #stage: "prefix" | "header" | "body" = "prefix"
  #target: Uint8Array<ArrayBuffer> = new Uint8Array(PREFIX_BYTES)
  #filled = 0
  #header: Json = null
  #bodyBytes = 0

  constructor(maxBodyBytes: number) {
    this.#maxBodyBytes = maxBodyBytes
  }

  /** The frames completed by these bytes, in order. Throws JSON_MALFORMED or INTERNAL when the peer breaks the framing. */
  push(bytes: Uint8Array): readonly Frame[] {
    const frames: Frame[] = []
    for (let rest = bytes; rest.length > 0;) {
      const part = rest.subarray(0, this.#target.length - this.#filled)
      this.#target.set(part, this.#filled)
      this.#filled += part.length
      rest = rest.subarray(part.length)
      if (this.#filled === this.#target.length) this.#finishStage(frames)
    }
    return frames
  }

  #finishStage(frames: Frame[]): void {
    const done = this.#target
    if (this.#stage === "prefix") {
      const { header, body } = this.#readLengths(done)
      this.#bodyBytes = body
      this.#start("header", header)
    } else if (this.#stage === "header") {
      this.#header = readHeader(done)
      if (this.#bodyBytes > 0) this.#start("body", this.#bodyBytes)
      else this.#emit(frames, new Uint8Array(0))
    } else this.#emit(frames, done)
  }

  #emit(frames: Frame[], body: Uint8Array<ArrayBuffer>): void {
    frames.push({ header: this.#header, body })
    this.#start("prefix", PREFIX_BYTES)
  }

  #start(stage: "prefix" | "header" | "body", size: number): void {
    this.#stage = stage
    this.#target = new Uint8Array(size)
    this.#filled = 0
  }

  #readLengths(prefix: Uint8Array<ArrayBuffer>): { readonly header: number; readonly body: number } {
    const view = new DataView(prefix.buffer)
    const header = view.getUint32(0, true)
    const body = view.getUint32(4, true) + view.getUint16(8, true) * 2 ** 32
    if (header === 0 || header > MAX_HEADER_BYTES || body > this.#maxBodyBytes) {
      throw new AppError("INTERNAL", `a message of ${header} + ${body} bytes is outside the limits`)
    }
    return { header, body }
  }
}

/** Plain JSON: one reader, which checks the shape afterwards, needs no care for what two readers might disagree about. */
function readHeader(bytes: Uint8Array): Json {
  const text = readUtf8(bytes)
  if (text === null) throw new AppError("JSON_MALFORMED", "a message is not valid UTF-8")
  try {
    return JSON.parse(text) as Json // what JSON.parse returns is this type by definition
  } catch {
    throw new AppError("JSON_MALFORMED", "a message is not JSON")
  }
}
