import { describe, expect, it } from "vitest"
import { assign as assigning } from "../../../main/core/watermark/lap.ts"
import { runInTurns, runThrough } from "../../../main/core/watermark/work.ts"
import { Dice } from "../../support/attacks/random.ts"

const assign = (gain: Float64Array, rows: number, columns: number) =>
  runThrough(assigning(gain, rows, columns))

describe("linear assignment", () => {
  it("finds the best of all assignments, square and wide", () => {
    const dice = new Dice("assignments")
    for (let round = 0; round < 60; round += 1) {
      const rows = 1 + dice.below(5)
      const columns = rows + dice.below(3)
      const gain = Float64Array.from({ length: rows * columns }, () => Math.round(dice.normal() * 4))
      expect(total(gain, assign(gain, rows, columns), columns)).toBe(bestTotal(gain, rows, columns))
    }
  })

  it("gives every row a column of its own", () => {
    const dice = new Dice("large")
    const gain = Float64Array.from({ length: 120 * 150 }, () => dice.uniform())
    expect(new Set(assign(gain, 120, 150)).size).toBe(120)
  })

  it("undoes a permutation", () => {
    const order = new Dice("order").permutation(200)
    const gain = new Float64Array(200 * 200)
    order.forEach((column, row) => (gain[row * 200 + column] = 1))
    expect([...assign(gain, 200, 200)]).toEqual([...order])
  })

  it("lets others in while it works, stops when told to, and finds the same with pauses", async () => {
    const dice = new Dice("pauses")
    const gain = Float64Array.from({ length: 400 * 400 }, () => dice.uniform())
    let pauses = 0
    const columns = await runInTurns(assigning(gain, 400, 400), async () => {
      pauses += 1
    })
    expect(pauses).toBeGreaterThan(0)
    expect(columns).toEqual(assign(gain, 400, 400))
    const stop = runInTurns(assigning(gain, 400, 400), async () => Promise.reject(new RangeError("stopped")))
    await expect(stop).rejects.toThrow(RangeError)
  })

  it("refuses more rows than columns, and gains that are no numbers", () => {
    expect(() => assign(new Float64Array(6), 3, 2)).toThrow(RangeError)
    expect(() => assign(new Float64Array(4).fill(Number.NaN), 2, 2)).toThrow(RangeError)
  })
})

function total(gain: Float64Array, columns: Iterable<number>, width: number): number {
  let [sum, row] = [0, 0]
  for (const column of columns) sum += gain[row++ * width + column] ?? Number.NaN
  return sum
}

function bestTotal(gain: Float64Array, rows: number, columns: number, taken: readonly number[] = []): number {
  if (taken.length === rows) return total(gain, taken, columns)
  let best = -Infinity
  for (let column = 0; column < columns; column += 1)
    if (!taken.includes(column)) best = Math.max(best, bestTotal(gain, rows, columns, [...taken, column]))
  return best
}
