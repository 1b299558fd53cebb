import {
  array,
  assert,
  boolean,
  constantFrom,
  float,
  integer,
  nat,
  property,
  record,
  uint8Array,
} from "fast-check"
import { describe, expect, test } from "vitest"
import { nativeMark } from "../../../native/lib/mark.ts"
import { fromFloat16, toFloat16 } from "../../../main/core/bytes/float16.ts"
import {
  CODES,
  fromBfloat16,
  portableKernel,
  toBfloat16,
  type MarkKernel,
} from "../../../main/core/watermark/kernel.ts"
import { markKernel } from "../../../main/platform/mark/kernel.ts"

/** More than the native kernel leaves to the portable one. */
const COUNT = 200
const native = markKernel()

const places = record({
  first: nat(10_000),
  inner: constantFrom(1, 3, 9, 64, 1000),
  rows: constantFrom(1, 2, 5, 16),
})
const codeBytes = uint8Array({ minLength: COUNT, maxLength: COUNT, max: 7 })
const amounts = array(float({ noNaN: true }), { minLength: 16 * CODES, maxLength: 16 * CODES }).map((list) =>
  Float64Array.from(list, (amount, i) => amount * (1 + i / 3)),
)
const words = array(nat(2 ** 32 - 1), { minLength: COUNT, maxLength: COUNT }).map((list) =>
  Uint32Array.from(list),
)

test("the addon that was built has the loops of embedding", () => {
  expect(nativeMark()).not.toBeNull()
  expect(native.name).toBe("native")
})

describe("the native loops give the bits of the portable ones", () => {
  test("for codes, at every bit of a byte, with a device and without", () => {
    const bytes = uint8Array({ minLength: COUNT, maxLength: COUNT })
    assert(
      property(bytes, bytes, bytes, bytes, nat(7), boolean(), (owner, signs, bias, word, skip, isBase) => {
        const none = new Uint8Array(0)
        const codes = both((kernel) => {
          const out = new Uint8Array(COUNT)
          if (isBase) kernel.codes(owner, none, skip, none, none, out)
          else kernel.codes(owner, signs, skip, bias, word, out)
          return out
        })
        expect(codes.native).toEqual(codes.portable)
      }),
    )
  })

  test("for float32 of any bits, infinite sums and zeros included", () => {
    assert(
      property(words, places, codeBytes, amounts, (bits, place, codes, table) => {
        const sums = both((kernel) => {
          // Tensors with NaN are never marked; a NaN's bits are not defined.
          const values = new Float32Array(bits.slice().buffer).map((value) =>
            Number.isNaN(value) ? 1 : value,
          )
          kernel.addFloats(values, place, codes, table)
          return new Uint32Array(values.buffer)
        })
        expect(sums.native).toEqual(sums.portable)
      }),
    )
  })

  test("for every float16 and bfloat16", () => {
    const all = Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits)
    const codes = new Uint8Array(all.length).map((_, i) => (i * 7) % CODES)
    const place = { first: 5, inner: 9, rows: 16 }
    assert(
      property(amounts, integer({ min: -24, max: 4 }), (table, exponent) => {
        const scaled = table.map((amount, i) => ((amount === 0 ? 1 : amount % 1) + i / 7) * 2 ** exponent)
        for (const add of ["addHalves", "addBrains"] as const) {
          const sums = both((kernel) => {
            const values = all.map((bits) => (isNumber(bits, add) ? bits : 0))
            kernel[add](values, place, codes, scaled)
            return values
          })
          expect(Buffer.from(sums.native.buffer).equals(Buffer.from(sums.portable.buffer))).toBe(true)
        }
      }),
      { numRuns: 20 },
    )
  })

  test("for steps of signed and unsigned bytes", () => {
    const bytes = uint8Array({ minLength: COUNT, maxLength: COUNT })
    const limits = array(integer({ min: 0, max: 2 ** 32 }), { minLength: 48, maxLength: 48 })
    const zeros = array(integer({ min: -128, max: 255 }), { minLength: 16, maxLength: 16 })
    assert(
      property(
        bytes,
        places,
        codeBytes,
        words,
        limits,
        zeros,
        boolean(),
        (stored, place, codes, picks, l, z, s) => {
          const rules = { limits: Float64Array.from(l), zeroPoints: Int32Array.from(z), isSigned: s }
          const moved = both((kernel) => {
            const values = Uint8Array.from(stored)
            kernel.step(values, place, codes, picks, rules)
            return values
          })
          expect(moved.native).toEqual(moved.portable)
        },
      ),
    )
  })
})

describe("the native loops refuse", () => {
  const loops = nativeMark()
  const place = [0, 1, 2] as const

  test("tables shorter than the rows, and codes of another length", () => {
    if (loops === null) throw new Error("the addon is built")
    const values = new Float32Array(8)
    const table = new Float64Array(16)
    expect(() => loops.markFloats(values, 0, 1, 3, new Uint8Array(8), table)).toThrow(TypeError)
    expect(() => loops.markFloats(values, 0, 0, 2, new Uint8Array(8), table)).toThrow(TypeError)
    expect(() => loops.markFloats(values, ...place, new Uint8Array(7), table)).toThrow(TypeError)
    expect(() =>
      loops.markHalves(new Uint16Array(8), ...place, new Uint8Array(8), new Float64Array(15)),
    ).toThrow(TypeError)
  })

  test("streams that end early", () => {
    if (loops === null) throw new Error("the addon is built")
    const [long, short, t8] = [new Uint8Array(16), new Uint8Array(1), new Uint8Array(256)]
    expect(() => loops.markCodes(short, long, 0, long, long, t8, long)).toThrow(TypeError)
    expect(() => loops.markCodes(long, long, 8, long, long, t8, long)).toThrow(TypeError)
    expect(() => loops.markCodes(long, long, 0, short, long, t8, long)).toThrow(TypeError)
    expect(() => loops.markCodes(long, long, 0, long, long, long, long)).toThrow(TypeError)
  })
})

test("conversions to and from bfloat16 undo one another, and ties go to the even neighbour", () => {
  for (let bits = 0; bits < 0x7f80; bits += 1) expect(toBfloat16(fromBfloat16(bits))).toBe(bits)
  expect(toBfloat16(1 + 2 ** -8)).toBe(0x3f80)
  expect(toBfloat16(1 + 3 * 2 ** -8)).toBe(0x3f82)
  expect(toFloat16(fromFloat16(0x3555))).toBe(0x3555)
})

function both<T>(run: (kernel: MarkKernel) => T): { readonly native: T; readonly portable: T } {
  return { native: run(native), portable: run(portableKernel) }
}

function isNumber(bits: number, add: "addHalves" | "addBrains"): boolean {
  return Number.isFinite(add === "addHalves" ? fromFloat16(bits) : fromBfloat16(bits))
}
