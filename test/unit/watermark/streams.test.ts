import { expect, test } from "vitest"
import type { MarkParameters } from "../../../main/core/watermark/plan.ts"
import {
  CODE,
  DECOY,
  isSteppable,
  stepThresholds,
  TensorStreams,
} from "../../../main/core/watermark/streams.ts"

const parameters: MarkParameters = {
  form: "float",
  rowAxis: 0,
  strength: 10_486,
  codeStrength: 33_159,
  subset: 6554,
  decoys: 655,
}

test("every stream reads the same in pieces as at once", () => {
  const streams = new TensorStreams(new Uint8Array(32).fill(7))
  const readers: readonly ((first: number, count: number) => ArrayLike<number>)[] = [
    (first, count) => streams.ownerSigns(first, count),
    (first, count) => streams.codeSigns(first, count),
    (first, count) => streams.biasBytes(first, count),
    (first, count) => streams.wordBytes({ device: 3, attempt: 0 }, first, count),
    (first, count) => streams.picks(first, count),
    (first, count) => streams.fillers([{ first, count }]),
    (first, count) => streams.subset(first, count, parameters),
  ]
  for (const read of readers) {
    const whole = Array.from(read(0, 1000))
    const pieces = [0, 1, 9, 64, 333, 999].flatMap((from, i, all) =>
      Array.from(read(from, (all[i + 1] ?? 1000) - from)),
    )
    expect(pieces).toEqual(whole)
  }
  streams.close()
})

test("streams of different labels, tensors and devices are uncorrelated", () => {
  const count = 40_000
  const a = new TensorStreams(new Uint8Array(32).fill(1))
  const b = new TensorStreams(new Uint8Array(32).fill(2))
  const signs = (bits: Uint8Array) => Float64Array.from(bits, (bit) => 2 * bit - 1)
  const centred = (bytes: Uint8Array) => Float64Array.from(bytes, (byte) => (byte - 127.5) / 73.9)
  const all = [
    signs(a.ownerSigns(0, count)),
    signs(b.ownerSigns(0, count)),
    signs(a.codeSigns(0, count)),
    centred(a.biasBytes(0, count)),
    centred(a.wordBytes({ device: 1, attempt: 0 }, 0, count)),
    centred(a.wordBytes({ device: 1, attempt: 1 }, 0, count)),
    centred(a.wordBytes({ device: 2, attempt: 0 }, 0, count)),
    centred(b.wordBytes({ device: 1, attempt: 0 }, 0, count)),
  ]
  all.forEach((x, i) =>
    all.slice(i + 1).forEach((y) => {
      const z = x.reduce((sum, value, at) => sum + value * (y[at] ?? 0), 0) / Math.sqrt(count)
      expect(Math.abs(z)).toBeLessThan(4.5)
    }),
  )
})

test("S is made of whole blocks of eight and has the share its parameters ask for", () => {
  const streams = new TensorStreams(new Uint8Array(32).fill(9))
  const count = 800_000
  const member = streams.subset(0, count, parameters)
  for (let at = 0; at < count; at += 8) expect(new Set(member.subarray(at, at + 8)).size).toBe(1)
  const share = (kind: number) => member.filter((value) => value === kind).length / count
  expect(share(CODE)).toBeCloseTo(0.1, 2)
  expect(share(DECOY)).toBeCloseTo(0.01, 2)
})

test("steps of quantised weights never leave the type and never touch a true zero", () => {
  expect([-128, -127, -126, 0, 5, 126, 127].map((q) => isSteppable(q, 0, "INT8"))).toEqual([
    false,
    false,
    true,
    false,
    true,
    true,
    false,
  ])
  expect([0, 1, 128, 254, 255].map((q) => isSteppable(q, 128, "UINT8"))).toEqual([
    false,
    true,
    false,
    true,
    false,
  ])
})

test("the chance of a step spends the energy of a float mark of the same strength", () => {
  const { owner, code } = stepThresholds(parameters, "individual", 40)
  expect(owner / 2 ** 32).toBeCloseTo((0.01 * 40) ** 2, 4)
  expect(code).toBe(owner)
  expect(stepThresholds(parameters, "fleet", 40).code / 2 ** 32).toBe(0.5)
})
