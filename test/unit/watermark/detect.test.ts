import { describe, expect, it } from "vitest"
import { DeviceTest, ownerTest, sumCodeword } from "../../../main/core/watermark/detect.ts"
import { scoreResiduals, type Comparison } from "../../../main/core/watermark/residual.ts"
import { Dice } from "../../support/attacks/random.ts"

describe("scores of residuals", () => {
  const dice = new Dice("scores")
  const original = Float32Array.from({ length: 2000 }, () => dice.normal())
  const signs = Int8Array.from({ length: 2000 }, () => dice.sign())
  const marked = original.map((value, i) => value + 0.01 * (signs[i] ?? 0) + 0.02 * dice.normal())
  const comparison = (suspect: Float32Array, more: Partial<Comparison> = {}): Comparison => ({
    original,
    suspect,
    sigma: new Float32Array(2000).fill(1),
    amplitude: new Float32Array(2000).fill(0.01),
    known: null,
    stratum: null,
    ...more,
  })
  const scoresOf = (suspect: Float32Array, more: Partial<Comparison> = {}) => {
    const out = new Float64Array(2000)
    scoreResiduals(comparison(suspect, more), 1, out)
    return out
  }

  it("finds a mark below the noise", () => {
    const { z, carriers } = ownerTest([{ scores: scoresOf(marked), signs }])
    expect(carriers).toBe(2000)
    expect(z).toBeGreaterThan(12)
  })

  it("says nothing about weights that were erased, are missing, or carry nothing", () => {
    const damaged = marked.slice()
    damaged[3] = 0
    damaged[4] = Number.NaN
    damaged[5] = Infinity
    const amplitude = new Float32Array(2000).fill(0.01)
    amplitude[6] = 0
    const scores = scoresOf(damaged, { amplitude })
    expect([...scores.subarray(3, 7)]).toEqual([0, 0, 0, 0])
    expect(scores.every(Number.isFinite)).toBe(true)
  })

  it("gives p = 1 to an exact copy of the original, to nothing and to what is no number", () => {
    for (const suspect of [original, new Float32Array(2000), new Float32Array(2000).fill(Number.NaN)]) {
      const scores = scoresOf(suspect)
      expect(ownerTest([{ scores, signs }]).log10p).toBe(0)
      const test = new DeviceTest([{ scores, signs, bias: new Uint8Array(2000).fill(128) }])
      expect(test.judge(0).log10p).toBe(0)
    }
    expect(ownerTest([]).log10p).toBe(0)
    expect(new DeviceTest([]).judge(0).log10p).toBe(0)
  })

  it("keeps strata apart: noise in one does not drown the other", () => {
    const stratum = Uint8Array.from({ length: 2000 }, (_, i) => (i < 1000 ? 1 : 0))
    const half = marked.map((value, i) => (i < 1000 ? value + 5 * dice.normal() : value))
    const apart = ownerTest([{ scores: scoresOf(half, { stratum }), signs }]).z
    const mixed = ownerTest([{ scores: scoresOf(half), signs }]).z
    expect(apart).toBeGreaterThan(mixed * 1.2)
  })

  it("lets weights that did not survive have less of a say", () => {
    const regrown = marked.map((value, i) => (i % 2 === 0 ? value : 0.3 * dice.normal()))
    const stratum = Uint8Array.from({ length: 2000 }, (_, i) => i % 2)
    const scores = scoresOf(regrown, { stratum })
    const energy = (side: number) => scores.reduce((sum, q, i) => sum + (i % 2 === side ? q * q : 0), 0)
    expect(energy(1)).toBeLessThan(energy(0) / 20)
  })
})

describe("the device test", () => {
  it("bounds the exact chance for a few positions, by going through all code words", () => {
    const dice = new Dice("few positions")
    const scores = Float64Array.from({ length: 12 }, () => dice.normal())
    const signs = new Int8Array(12).fill(1)
    const bias = Uint8Array.from({ length: 12 }, () => 5 + dice.below(247))
    const test = new DeviceTest([{ scores, signs, bias }])
    const [tensor] = test.tensors
    if (tensor === undefined) throw new Error("no tensor")
    const outcomes = Array.from({ length: 4096 }, (_, word) => {
      let [sum, chance] = [0, 1]
      for (let i = 0; i < 12; i += 1) {
        const bit = (word >> i) & 1
        sum += bit * (tensor.weights[i] ?? 0)
        const p = (bias[i] ?? 0) / 256
        chance *= bit === 1 ? p : 1 - p
      }
      return { sum, chance }
    })
    for (const { sum } of outcomes) {
      const exact = outcomes.reduce((total, other) => total + (other.sum >= sum ? other.chance : 0), 0)
      expect(10 ** test.judge(sum).log10p).toBeGreaterThanOrEqual(exact * (1 - 1e-9))
    }
  })

  it("adds up the weights where the byte of the code word is below the bias", () => {
    const dice = new Dice("sums")
    const weights = Int16Array.from({ length: 70_000 }, () => dice.below(65_535) - 32_767)
    const bias = Uint8Array.from({ length: 70_000 }, () => dice.below(256))
    const word = Uint8Array.from({ length: 70_000 }, () => dice.below(256))
    const plain = weights.reduce((sum, w, i) => sum + ((word[i] ?? 0) < (bias[i] ?? 0) ? w : 0), 0)
    expect(sumCodeword({ weights, bias }, word)).toBe(plain)
  })

  it("falls with the sum", () => {
    const dice = new Dice("monotone")
    const scores = Float64Array.from({ length: 500 }, () => dice.normal())
    const test = new DeviceTest([
      { scores, signs: new Int8Array(500).fill(1), bias: new Uint8Array(500).fill(100) },
    ])
    const line = Array.from({ length: 200 }, (_, i) => test.judge(i * 20_000 - 1e6).log10p)
    expect(line.every((value, i) => i === 0 || value <= (line[i - 1] ?? 0))).toBe(true)
    expect(line.at(-1)).toBeLessThan(-3)
  })
})
