import { expect, test } from "vitest"
import type { NpyRows } from "../../../main/core/bytes/npy.ts"
import type { Tensor } from "../../../main/services/ports.ts"
import { compareOutputs, median, Scorer, summarise } from "../../../main/services/statistics.ts"

const floats = (shape: number[], ...values: number[]): Tensor => ({
  name: "y",
  type: "float32",
  shape,
  data: new Uint8Array(Float32Array.from(values).buffer),
})
const labels = (...values: number[]): NpyRows => ({
  dtype: "uint8",
  shape: [values.length],
  data: Uint8Array.from(values),
})

test("percentiles interpolate as numpy does", () => {
  const { p50, p90, p99, mean } = summarise([4, 1, 3, 2])
  expect([p50, p90, p99, mean].map((value) => Number(value.toFixed(6)))).toEqual([2.5, 3.7, 3.97, 2.5])
  expect(median([7])).toBe(7)
})

test("rows that differ in one bit are counted, and the largest difference is found", () => {
  const plain = [floats([3, 2], 1, 2, 3, 4, 5, 6)]
  expect(compareOutputs(plain, plain, 3)).toEqual({ identicalRows: 3, maxAbsoluteDifference: 0 })
  expect(compareOutputs(plain, [floats([3, 2], 1, 2, 3, 4.5, 5, 6)], 3)).toEqual({
    identicalRows: 2,
    maxAbsoluteDifference: 0.5,
  })
})

test("zeros of different sign are not identical to the last bit", () => {
  expect(compareOutputs([floats([1, 1], 0)], [floats([1, 1], -0)], 1).identicalRows).toBe(0)
})

test("outputs of another number, type or size are identical in no row", () => {
  const plain = [floats([2, 1], 1, 2)]
  expect(compareOutputs(plain, [], 2).identicalRows).toBe(0)
  expect(compareOutputs(plain, [{ ...floats([2, 1], 1, 2), type: "int32" }], 2).identicalRows).toBe(0)
  expect(compareOutputs(plain, [floats([1, 1], 1)], 2).identicalRows).toBe(0)
})

test("an output without a row axis belongs to every row", () => {
  const scalar = floats([], 1)
  expect(
    compareOutputs([floats([2, 1], 1, 2), scalar], [floats([2, 1], 1, 2), floats([], 2)], 2).identicalRows,
  ).toBe(0)
})

test("class scores are judged by their largest, single numbers by R²", () => {
  const outputs = [floats([3, 2], 0.1, 0.9, 0.8, 0.2, 0.4, 0.6)]
  const top = Scorer.for(outputs, labels(1, 0, 0))
  top?.add(outputs)
  expect([top?.kind, top?.score]).toEqual(["top-1", 2 / 3])
  const numbers = [floats([3, 1], 1, 2, 4)]
  const r2 = Scorer.for(numbers, labels(1, 2, 3))
  r2?.add(numbers)
  expect([r2?.kind, r2?.score]).toEqual(["r2", 0.5])
})

test("integers alone are no scores", () => {
  expect(Scorer.for([{ ...floats([2, 1], 1, 2), type: "int32" }], labels(1, 2))).toBeNull()
})
