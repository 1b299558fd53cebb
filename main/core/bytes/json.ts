import { AppError } from "../../contract/errors.ts"
import { readUtf8 } from "./bytes.ts"

/** Limits for documents that come from strangers. */
const MAX_DEPTH = 64

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/**
 * Strict JSON (RFC 8259) as a value. Differs from JSON.parse where two readers could disagree about one document:
 * duplicate keys, invalid UTF-8, a byte order mark, lone surrogates, integers beyond 2^53 and nesting deeper than 64
 * are refused with JSON_MALFORMED. Objects have no prototype, so `__proto__` is an ordinary key.
 */
export function parseJson(bytes: Uint8Array, what: string): Json {
  const text = readUtf8(bytes)
  if (text === null) throw malformed(what, "it is not valid UTF-8")
  const reader = new JsonReader(text, what)
  return reader.document()
}

class JsonReader {
  readonly #text: string
  readonly #what: string
  #at = 0

  constructor(text: string, what: string) {
    this.#text = text
    this.#what = what
  }

  document(): Json {
    const value = this.#value(0)
    this.#space()
    if (this.#at !== this.#text.length) throw this.#fault("text after the end")
    return value
  }

  #value(depth: number): Json {
    if (depth > MAX_DEPTH) throw this.#fault(`nested deeper than ${MAX_DEPTH}`)
    this.#space()
    const head = this.#text[this.#at]
    if (head === "{") return this.#object(depth)
    if (head === "[") return this.#array(depth)
    if (head === '"') return this.#string()
    for (const [word, value] of WORDS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length
        return value
      }
    }
    return this.#number()
  }

  #object(depth: number): Json {
    // A null prototype keeps keys such as __proto__ and constructor plain data.
    const out: Record<string, Json> = Object.create(null)
    this.#at += 1
    this.#space()
    if (this.#take("}")) return out
    for (;;) {
      this.#space()
      if (this.#text[this.#at] !== '"') throw this.#fault("a key is missing")
      const key = this.#string()
      if (Object.hasOwn(out, key))
        throw this.#fault(`the key ${JSON.stringify(key.slice(0, 40))} stands twice`)
      this.#space()
      if (!this.#take(":")) throw this.#fault("a colon is missing")
      out[key] = this.#value(depth + 1)
      this.#space()
      if (this.#take("}")) return out
      if (!this.#take(",")) throw this.#fault("a comma is missing")
    }
  }

  #array(depth: number): Json {
    const out: Json[] = []
    this.#at += 1
    this.#space()
    if (this.#take("]")) return out
    for (;;) {
      out.push(this.#value(depth + 1))
      this.#space()
      if (this.#take("]")) return out
      if (!this.#take(",")) throw this.#fault("a comma is missing")
    }
  }

  #string(): string {
    const start = this.#at
    for (this.#at += 1; this.#at < this.#text.length; this.#at += 1) {
      const unit = this.#text.charCodeAt(this.#at)
      if (unit < 0x20) throw this.#fault("a control character in a string")
      if (unit === 0x5c) this.#at += 1
      else if (unit === 0x22) {
        this.#at += 1
        return this.#decodeString(start)
      }
    }
    throw this.#fault("a string does not end")
  }

  #decodeString(start: number): string {
    let decoded: string
    try {
      decoded = JSON.parse(this.#text.slice(start, this.#at)) // a string literal can only parse to a string
    } catch {
      throw this.#fault("a bad escape in a string")
    }
    if (!decoded.isWellFormed()) throw this.#fault("a lone surrogate in a string")
    return decoded
  }

  #number(): number {
    NUMBER.lastIndex = this.#at
    const match = NUMBER.exec(this.#text)
    if (match === null) throw this.#fault("a value is missing")
    this.#at += match[0].length
    const value = Number(match[0])
    const isInteger = match[1] === undefined
    if (!Number.isFinite(value) || (isInteger && !Number.isSafeInteger(value)))
      throw this.#fault("a number is too large")
    return value
  }

  #space(): void {
    while (SPACE.has(this.#text.charCodeAt(this.#at))) this.#at += 1
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false
    this.#at += 1
    return true
  }

  #fault(reason: string): AppError {
    return malformed(this.#what, `${reason} (character ${this.#at})`)
  }
}

const WORDS: readonly (readonly [string, Json])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
]
const NUMBER = /-?(?:0|[1-9]\d*)((?:\.\d+)?(?:[eE][+-]?\d+)|\.\d+)?/y
const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d])

function malformed(what: string, reason: string): AppError {
  return new AppError("JSON_MALFORMED", `${what} is not strict JSON: ${reason}`)
}
