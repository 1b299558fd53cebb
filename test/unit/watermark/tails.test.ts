import { describe, expect, it } from "vitest"
import { binomialCdf, clopperPearsonUpper, lnQ, log10SignTail } from "../../../main/core/watermark/tails.ts"
import { Dice } from "../../support/attacks/random.ts"

/** ln Q by the C library's erfc, double precision. */
const REFERENCE: readonly (readonly [z: number, lnQ: number])[] = [
  [0, -Math.LN2],
  [0.5, -1.1759117615936188],
  [1, -1.8410216450092636],
  [2, -3.7831843336820317],
  [2.8, -5.969652046675207],
  [3, -6.60772622151035],
  [5.9, -20.12579958020317],
]

describe("tails of the normal distribution", () => {
  it("agrees with erfc below six deviations", () => {
    for (const [z, expected] of REFERENCE) expect(lnQ(z)).toBeCloseTo(expected, 11)
  })

  it("is never below the true tail beyond, and close to it", () => {
    // erfc again, up to where it leaves double precision.
    for (const [z, expected] of [
      [6.5, -23.938149495161838],
      [10, -53.23128515051247],
      [20, -203.9171553710973],
      [37, -689.0305855768905],
    ] as const) {
      expect(lnQ(z)).toBeGreaterThanOrEqual(expected - 1e-12)
      expect(lnQ(z) - expected).toBeLessThan(3e-4)
    }
  })

  it("falls without a step where the two formulas meet, and goes on in the hundreds", () => {
    expect(lnQ(5.999999)).toBeGreaterThan(lnQ(6.000001) - 1e-3)
    expect(lnQ(600)).toBeLessThan(-180_000)
    expect(lnQ(-1)).toBeCloseTo(Math.log(1 - 0.15865525393145707), 12)
  })
})

describe("the bound on a sum of signs", () => {
  it("is 1 where there is nothing to see", () => {
    for (const z of [0, -3, Number.NaN]) expect(log10SignTail(z)).toBe(0)
  })

  it("holds exactly for every count of equal weights, by counting", () => {
    for (const n of [1, 2, 3, 7, 20, 63]) {
      for (let heads = Math.ceil(n / 2); heads <= n; heads += 1) {
        const exact = 1 - (heads === 0 ? 0 : binomialCdf(heads - 1, n, 0.5))
        const z = (2 * heads - n) / Math.sqrt(n)
        if (z > 0) expect(10 ** log10SignTail(z)).toBeGreaterThanOrEqual(exact - 1e-12)
      }
    }
  })

  it("holds for uneven weights, by drawing signs", () => {
    const dice = new Dice("uneven weights")
    const weights = Array.from({ length: 40 }, (_, i) => 0.8 ** i)
    const norm = Math.hypot(...weights)
    const scores = Array.from(
      { length: 40_000 },
      () => weights.reduce((sum, weight) => sum + weight * dice.sign(), 0) / norm,
    )
    for (const z of [0.5, 1, 1.5, 2]) {
      const share = scores.filter((score) => score >= z).length / scores.length
      expect(share).toBeLessThanOrEqual(10 ** log10SignTail(z))
    }
  })

  it("is the smaller one of the two published bounds", () => {
    expect(log10SignTail(0.5)).toBeCloseTo(-0.125 / Math.LN10, 12)
    expect(log10SignTail(8)).toBeCloseTo((Math.log(3.179) + lnQ(8)) / Math.LN10, 12)
  })
})

describe("Clopper and Pearson's limit", () => {
  it("agrees with closed forms and a published table", () => {
    expect(clopperPearsonUpper(0, 100, 0.95)).toBeCloseTo(1 - 0.05 ** (1 / 100), 10)
    expect(clopperPearsonUpper(1, 10, 0.95)).toBeCloseTo(0.39416, 5)
    expect(clopperPearsonUpper(10, 10, 0.95)).toBe(1)
  })

  it("stays finite for many trials", () => {
    expect(clopperPearsonUpper(20, 100_000, 0.95)).toBeGreaterThan(20 / 100_000)
    expect(clopperPearsonUpper(20, 100_000, 0.95)).toBeLessThan(32 / 100_000)
  })
})
