import { describe, expect, it } from "vitest"
import { rankDevices } from "../../../main/core/watermark/rank-test.ts"
import { Dice } from "../../support/attacks/random.ts"
import { uniformityP } from "../../support/statistics.ts"

/** Margins of copies as real ones are: few directions explain most of them, so probes are far from independent. */
const PROBES = 120
const DIRECTIONS = 20

function world(seed: string) {
  const dice = new Dice(seed)
  const mixing = Float64Array.from({ length: PROBES * DIRECTIONS }, () => dice.normal())
  const copy = () => {
    const traits = Float64Array.from({ length: DIRECTIONS }, () => dice.normal())
    return Float64Array.from({ length: PROBES }, (_, probe) => {
      let sum = 0.3 * dice.normal()
      for (let k = 0; k < DIRECTIONS; k += 1) sum += (mixing[probe * DIRECTIONS + k] ?? 0) * (traits[k] ?? 0)
      return sum
    })
  }
  const copies = (count: number) => Array.from({ length: count }, copy)
  const answersOf = (margins: Float64Array) => Int8Array.from(margins, (m) => Math.sign(m))
  return { copy, copies, answersOf }
}

describe("the rank test", () => {
  it("puts the device that answers first, before all fakes", () => {
    const { copy, copies, answersOf } = world("guilty")
    const guilty = copy()
    const devices = [...copies(5), guilty, ...copies(5)]
    const ranked = rankDevices({
      answers: answersOf(guilty),
      pilots: copies(60),
      fakes: copies(200),
      devices,
    })
    expect(ranked[5]?.p).toBe(1 / 201)
    expect(Math.max(...ranked.map(({ statistic }) => statistic))).toBe(ranked[5]?.statistic)
  })

  it("gives innocents uniform p-values, though an innocent's labels agree far more often than a coin", () => {
    const { copies, answersOf } = world("innocent")
    const pilots = copies(60)
    const fakes = copies(199)
    const suspects = copies(200)
    const p = suspects.flatMap((suspect) => {
      const [ranked] = rankDevices({
        answers: answersOf(suspect),
        pilots,
        fakes: copies(39),
        devices: copies(1),
      })
      return ranked === undefined ? [] : [ranked.p - 0.5 / 20]
    })
    expect(p.length).toBe(200)
    expect(uniformityP(p)).toBeGreaterThan(0.01)
    const [suspect] = suspects
    if (suspect === undefined) throw new Error("no suspect")
    const innocents = rankDevices({ answers: answersOf(suspect), pilots, fakes, devices: copies(400) })
    for (const level of [0.5, 0.1, 0.02])
      expect(innocents.filter(({ p: rank }) => rank <= level).length).toBeLessThan(
        400 * level + 4 * Math.sqrt(400 * level),
      )
  })

  it("cannot say less than one in the number of fakes, and needs pilots", () => {
    const { copy, copies, answersOf } = world("limits")
    const guilty = copy()
    const input = { answers: answersOf(guilty), fakes: copies(9), devices: [guilty] }
    expect(rankDevices({ ...input, pilots: copies(30) })[0]?.p).toBe(0.1)
    expect(() => rankDevices({ ...input, pilots: [] })).toThrow(RangeError)
  })
})
