import { AppError } from "../../contract/errors.ts"
import { toUtf8 } from "./bytes.ts"

/** Element types by numpy's names: how a header spells them, and the array that holds them. */
export const DTYPES = {
  bool: { descr: "|b1", array: Uint8Array },
  uint8: { descr: "|u1", array: Uint8Array },
  int8: { descr: "|i1", array: Int8Array },
  uint16: { descr: "<u2", array: Uint16Array },
  int16: { descr: "<i2", array: Int16Array },
  uint32: { descr: "<u4", array: Uint32Array },
  int32: { descr: "<i4", array: Int32Array },
  uint64: { descr: "<u8", array: BigUint64Array },
  int64: { descr: "<i8", array: BigInt64Array },
  float16: { descr: "<f2", array: Uint16Array },
  float32: { descr: "<f4", array: Float32Array },
  float64: { descr: "<f8", array: Float64Array },
} as const

/** Little-endian element types; `bool` is one byte, 0 or 1. */
export type NpyDtype = keyof typeof DTYPES

export function isNpyDtype(name: string): name is NpyDtype {
  return Object.hasOwn(DTYPES, name)
}

/**
 * Dtype and shape of the header's text, a Python dict of exactly `descr`, `fortran_order` and `shape`. Throws
 * NPY_MALFORMED, and NPY_UNSUPPORTED for Fortran order and every type outside of `DTYPES`.
 */
export function parseNpyHeader(text: string): {
  readonly dtype: NpyDtype
  readonly shape: readonly number[]
} {
  const { descr, isFortran, shape } = new DictReader(text).header()
  // A single byte has no order: some writers say "<u1".
  const spelling = descr.replace(/^<(?=.1$)/, "|")
  const dtype = NAMES.find((name) => DTYPES[name].descr === spelling)
  if (dtype === undefined) throw unsupported(`elements of type ${JSON.stringify(descr)}`)
  if (isFortran) throw unsupported("Fortran order")
  return { dtype, shape }
}

/**
 * Everything that stands before the values in a .npy file, byte for byte as numpy.save (1.24 and later) writes it: format
 * 1.0, a multiple of 64 bytes, with room for the first size to grow to 21 digits. Throws RangeError for more than 32 sizes.
 * Source: numpy/lib/format.py.
 */
export function writeNpyHeader(dtype: NpyDtype, shape: readonly number[]): Uint8Array<ArrayBuffer> {
  if (shape.length > MAX_RANK) throw new RangeError(`${shape.length} dimensions`)
  const [first] = shape
  const tuple = shape.length === 1 ? `(${shape.join()},)` : `(${shape.join(", ")})`
  const room = first === undefined ? 0 : GROWTH_DIGITS - String(first).length
  const dict = `{'descr': '${DTYPES[dtype].descr}', 'fortran_order': False, 'shape': ${tuple}, }`
  const text = dict + " ".repeat(room)
  // Always at least one space: numpy adds a whole line where none is needed.
  const total = (Math.floor((PREAMBLE + text.length + 1) / ALIGNMENT) + 1) * ALIGNMENT
  const header = toUtf8(`??????????${text.padEnd(total - PREAMBLE - 1)}\n`)
  header.set(MAGIC)
  header.set([1, 0], MAGIC.length)
  new DataView(header.buffer).setUint16(MAGIC.length + 2, total - PREAMBLE, true)
  return header
}

export function malformed(reason: string): AppError {
  return new AppError("NPY_MALFORMED", `not a valid .npy file: ${reason}`)
}

export function unsupported(what: string): AppError {
  return new AppError("NPY_UNSUPPORTED", `the .npy file holds ${what}`)
}

/** The byte 0x93 and "NUMPY". */
export const MAGIC: readonly number[] = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]

/** Magic, version and a two-byte length. */
const PREAMBLE = 10
const ALIGNMENT = 64
const GROWTH_DIGITS = 21
const MAX_RANK = 32

const NAMES = Object.keys(DTYPES) as NpyDtype[] // keys of a literal: exactly NpyDtype

/** The little of Python that a header is written in: one flat dict. */
class DictReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  header(): { descr: string; isFortran: boolean; shape: readonly number[] } {
    let descr: string | undefined
    let isFortran: boolean | undefined
    let shape: readonly number[] | undefined
    this.#expect("{")
    while (!this.#take("}")) {
      const key = this.#string()
      this.#expect(":")
      if (key === "descr" && descr === undefined) descr = this.#descr()
      else if (key === "fortran_order" && isFortran === undefined) isFortran = this.#boolean()
      else if (key === "shape" && shape === undefined) shape = this.#tuple()
      else throw malformed(`the header key ${JSON.stringify(key)}`)
      if (this.#take(",")) continue
      this.#expect("}")
      break
    }
    this.#match(/\s*/y)
    if (this.#at !== this.#text.length) throw malformed("text behind the header")
    if (descr === undefined || isFortran === undefined || shape === undefined)
      throw malformed("a header without descr, fortran_order or shape")
    return { descr, isFortran, shape }
  }

  #descr(): string {
    if (this.#take("[")) throw unsupported("structured elements")
    return this.#string()
  }

  #boolean(): boolean {
    const word = this.#match(/\s*(True|False)/y)
    if (word === null) throw malformed("fortran_order is neither True nor False")
    return word === "True"
  }

  #tuple(): readonly number[] {
    const sizes: number[] = []
    let commas = 0
    this.#expect("(")
    while (!this.#take(")")) {
      if (sizes.length > commas) throw malformed("a comma is missing in the shape")
      const digits = this.#match(/\s*(0|[1-9][0-9]*)/y)
      const size = Number(digits)
      if (digits === null || !Number.isSafeInteger(size))
        throw malformed("a shape of something else than sizes")
      sizes.push(size)
      if (this.#take(",")) commas += 1
    }
    // In Python (3) is a number, (3,) a tuple.
    if (sizes.length === 1 && commas === 0) throw malformed("a shape that is no tuple")
    if (sizes.length > MAX_RANK) throw malformed(`a shape of ${sizes.length} sizes`)
    return sizes
  }

  #string(): string {
    const text = this.#match(/\s*('[^'\\\n]*'|"[^"\\\n]*")/y)
    if (text === null) throw malformed(`no text at character ${this.#at} of the header`)
    return text.slice(1, -1)
  }

  #expect(char: string): void {
    if (!this.#take(char)) throw malformed(`no ${char} at character ${this.#at} of the header`)
  }

  #take(char: string): boolean {
    const start = this.#at
    this.#match(/\s*/y)
    if (this.#text[this.#at] === char) {
      this.#at += 1
      return true
    }
    this.#at = start
    return false
  }

  /** Steps over the pattern and returns its group, or `null`. */
  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)
    if (match === null) return null
    this.#at += match[0].length
    return match[1] ?? ""
  }
}
