import { describe, expect, it } from "vitest"
import { fromFloat16, toFloat16 } from "../../../main/core/bytes/float16.ts"

describe("float16", () => {
  it("reads the values IEEE 754 names", () => {
    const known: readonly (readonly [number, number])[] = [
      [0x0000, 0],
      [0x0001, 2 ** -24],
      [0x03ff, 1023 * 2 ** -24],
      [0x0400, 2 ** -14],
      [0x3555, 0.333251953125],
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x7c00, Infinity],
      [0xfc00, -Infinity],
      [0x7e00, NaN],
    ]
    for (const [half, value] of known) expect(fromFloat16(half)).toBe(value)
    expect(fromFloat16(0x8000)).toBe(-0)
  })

  it("gives back all 65536 patterns, NaN as one of them", () => {
    for (let half = 0; half < 0x10000; half += 1) {
      const value = fromFloat16(half)
      expect(toFloat16(value) & 0x7fff).toBe(Number.isNaN(value) ? 0x7e00 : half & 0x7fff)
      if (!Number.isNaN(value)) expect(toFloat16(value)).toBe(half)
    }
  })

  it("rounds to the nearest value, ties to even", () => {
    for (let half = 0; half < 0x7bff; half += 1) {
      const [low, high] = [fromFloat16(half), fromFloat16(half + 1)]
      const middle = (low + high) / 2
      const even = half % 2 === 0 ? half : half + 1
      expect(toFloat16(middle)).toBe(even)
      expect(toFloat16(middle * (1 - 2 ** -20))).toBe(half)
      expect(toFloat16(middle * (1 + 2 ** -20))).toBe(half + 1)
      expect(toFloat16(-middle)).toBe(0x8000 | even)
    }
  })

  it("becomes infinity from 65520 on and zero up to 2^-25", () => {
    expect(toFloat16(65519.99)).toBe(0x7bff)
    expect(toFloat16(65520)).toBe(0x7c00)
    expect(toFloat16(-1e30)).toBe(0xfc00)
    expect(toFloat16(2 ** -25)).toBe(0)
    expect(toFloat16(-(2 ** -26))).toBe(0x8000)
    expect(toFloat16(1e-45)).toBe(0)
  })
})
