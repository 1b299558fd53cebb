import { readFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, it } from "vitest"
import type { ErrorCode } from "../../../main/contract/errors.ts"
import { fromFloat16 } from "../../../main/core/bytes/float16.ts"
import { numbersOf, type FirewallArray } from "../../../main/core/policy/firewall/array.ts"
import { Firewall, type AuditRecord } from "../../../main/core/policy/firewall/firewall.ts"
import { checkInputs } from "../../../main/core/policy/firewall/input-check.ts"
import { labelsOf, treatOutputs } from "../../../main/core/policy/firewall/output-treatment.ts"
import { DEFAULT_FIREWALL, type FirewallRules } from "../../../main/core/policy/firewall/rules.ts"
import { Sketcher, SKETCH_SIZE, squaredDistance } from "../../../main/core/policy/firewall/sketch.ts"
import { TokenBucket } from "../../../main/core/policy/firewall/token-bucket.ts"
import { DATA } from "../../support/workspace.ts"

const DECLARED = [{ name: "x", type: "float32", shape: ["batch", 4] }] as const
const images = readFileSync(path.join(DATA, "fashion-eval-x.npy")).subarray(128)
const PIXELS = 784

describe("a token bucket", () => {
  it("allows a burst, then the steady rate, and says how long to wait", () => {
    const bucket = new TokenBucket(10, 5, 0)
    expect(bucket.take(5, 0)).toBe(0)
    expect(bucket.take(1, 0)).toBe(100)
    expect(bucket.take(1, 100)).toBe(0)
    expect(bucket.take(3, 300)).toBe(100)
  })

  it("never holds more than a burst, and gains nothing from a clock set back", () => {
    const bucket = new TokenBucket(10, 5, 1000)
    expect(bucket.take(6, 1e9)).toBe(Number.POSITIVE_INFINITY)
    expect(bucket.take(5, 1e9)).toBe(0)
    expect(bucket.take(1, 0)).toBe(100)
  })
})

describe("the input check", () => {
  const rules = { ...DEFAULT_FIREWALL, ranges: { x: { min: -1, max: 1 } }, rowsPerCall: 3 }

  it("counts rows of what fits", () => {
    expect(checkInputs([row([0, 0.5, -1, 1], [1, 1, 1, 1])], DECLARED, rules)).toBe(2)
  })

  it.each<[string, readonly FirewallArray[], ErrorCode]>([
    ["a missing input", [], "INPUT_MISMATCH"],
    ["an input given twice", [row([0, 0, 0, 0]), row([0, 0, 0, 0])], "INPUT_MISMATCH"],
    ["another name", [{ ...row([0, 0, 0, 0]), name: "y" }], "INPUT_MISMATCH"],
    ["another type", [{ ...row([0, 0, 0, 0]), type: "int32" }], "INPUT_MISMATCH"],
    ["another shape", [{ ...row([0, 0, 0, 0]), shape: [1, 5] }], "INPUT_MISMATCH"],
    ["another rank", [{ ...row([0, 0, 0, 0]), shape: [4] }], "INPUT_MISMATCH"],
    ["no rows", [{ ...row(), shape: [0, 4] }], "INPUT_MISMATCH"],
    ["fewer bytes than the shape says", [{ ...row([0, 0, 0, 0]), shape: [2, 4] }], "INPUT_MISMATCH"],
    ["NaN", [row([0, Number.NaN, 0, 0])], "INPUT_REFUSED"],
    ["infinity", [row([0, Number.NEGATIVE_INFINITY, 0, 0])], "INPUT_REFUSED"],
    ["a value above the range", [row([0, 1.01, 0, 0])], "INPUT_REFUSED"],
    ["a value below the range", [row([0, -1.01, 0, 0])], "INPUT_REFUSED"],
    ["too many rows", [row(...Array.from({ length: 4 }, () => [0, 0, 0, 0]))], "INPUT_REFUSED"],
  ])("refuses %s", async (_name, inputs, code) => {
    await expect(() => checkInputs(inputs, DECLARED, rules)).toFailWithCode(code)
  })

  it("lets NaN through where the policy says so, and still judges the rest", async () => {
    const lenient = { ...rules, allowNonFinite: true }
    expect(checkInputs([row([Number.NaN, 0, 0, 0])], DECLARED, lenient)).toBe(1)
    await expect(() => checkInputs([row([Number.NaN, 2, 0, 0])], DECLARED, lenient)).toFailWithCode(
      "INPUT_REFUSED",
    )
  })
})

describe("the output treatment", () => {
  const scores = row([0.1234, 0.5, 0.25, 0.1266], [3, 1, 2, 0])

  it("rounds, keeps the largest, or leaves the label alone", () => {
    const values = (rule: FirewallRules["output"]) =>
      [...numbersOf(treatOutputs([scores], rule)[0] ?? scores)].map((value) => Number(value.toFixed(4)))
    expect(values({ kind: "full" })).toEqual([0.1234, 0.5, 0.25, 0.1266, 3, 1, 2, 0])
    expect(values({ kind: "round", digits: 1 })).toEqual([0.1, 0.5, 0.3, 0.1, 3, 1, 2, 0])
    expect(values({ kind: "top", k: 2 })).toEqual([0.25, 0.5, 0.25, 0.25, 3, 2, 2, 2])
    expect(values({ kind: "label" })).toEqual([0, 1, 0, 0, 1, 0, 0, 0])
  })

  it("keeps the type of half-precision outputs and leaves integers alone", () => {
    const half = {
      name: "h",
      type: "float16",
      shape: [1, 2],
      data: new Uint8Array(Uint16Array.of(0x3c00, 0x3555).buffer),
    }
    const labels = { name: "l", type: "int64", shape: [1], data: new Uint8Array(BigInt64Array.of(7n).buffer) }
    const treated = treatOutputs([half, labels], { kind: "round", digits: 1 })
    expect(
      [...new Uint16Array(treated[0]?.data.slice().buffer ?? new ArrayBuffer(0))].map(fromFloat16)[0],
    ).toBe(1)
    expect(treated[1]).toBe(labels)
  })

  it("finds the label of each row, and never in NaN", () => {
    expect([...(labelsOf([scores], 2) ?? [])]).toEqual([1, 0])
    expect([...(labelsOf([row([Number.NaN, 0, -1, -2])], 1) ?? [])]).toEqual([1])
    expect(labelsOf([{ ...scores, shape: [8] }], 8)).toBeNull()
  })
})

describe("a sketch", () => {
  it("keeps distances to within its error", () => {
    const sketcher = new Sketcher(Buffer.alloc(32, 7))
    const count = 60
    const rows = pixels(0, count)
    const sketches = sketcher.sketch([image(rows, count)], count)
    const ratios: number[] = []
    for (let a = 0; a < count; a += 1)
      for (let b = a + 1; b < count; b += 1) {
        let exact = 0
        for (let index = 0; index < PIXELS; index += 1)
          exact += ((rows[a * PIXELS + index] ?? 0) - (rows[b * PIXELS + index] ?? 0)) ** 2
        ratios.push(squaredDistance(sketches, a * SKETCH_SIZE, sketches, b * SKETCH_SIZE) / exact)
      }
    const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length
    expect(mean).toBeGreaterThan(0.9)
    expect(mean).toBeLessThan(1.1)
    expect(Math.min(...ratios)).toBeGreaterThan(0.3)
  })
})

describe("the extraction watch", () => {
  it("finds nothing in 2,000 natural images, whole or in batches", async () => {
    const { firewall } = openFirewall({ watch: { ...DEFAULT_FIREWALL.watch, action: "refuse" } }, PIXELS)
    for (let at = 0; at < 2000; at += 50)
      await firewall.call("a", [image(pixels(at, 50), 50)], classify, NEVER)
    const { signs } = firewall.status().clients[0] ?? expect.fail("no client")
    expect(signs.seen).toEqual([])
    expect(signs.naturalness).toBeGreaterThan(0.9)
  })

  it("does not mistake retries for probes", async () => {
    const { firewall } = openFirewall({ watch: { ...DEFAULT_FIREWALL.watch, action: "refuse" } }, PIXELS)
    for (let at = 0; at < 150; at += 1)
      await firewall.call("a", [image(pixels(at % 5, 1), 1)], classify, NEVER)
    expect(firewall.status().clients[0]?.signs.nearDuplicates).toBe(0)
  })

  it("finds a bisection of decision boundaries, and refuses from then on, that client alone", async () => {
    const { firewall, audit } = openFirewall(
      { watch: { ...DEFAULT_FIREWALL.watch, action: "refuse" } },
      PIXELS,
    )
    const attack = async () => {
      for (let pair = 0; pair < 40; pair += 1) await bisect(firewall, pixels(pair, 1), pixels(pair + 50, 1))
    }
    await expect(attack()).toFailWithCode("EXTRACTION_SUSPECTED")
    expect(firewall.status().clients[0]?.signs.seen).toContain("boundary-probes")
    expect(audit.at(-1)).toMatchObject({ client: "a", decision: "refused", code: "EXTRACTION_SUSPECTED" })
    await firewall.call("b", [image(pixels(0, 1), 1)], classify, NEVER)
    firewall.clear("a")
    await firewall.call("a", [image(pixels(0, 1), 1)], classify, NEVER)
  })

  it("slows a client down where the policy says so", async () => {
    const watch = { ...DEFAULT_FIREWALL.watch, action: "slow", delayMs: 250 } as const
    const { firewall, pauses } = openFirewall({ watch }, PIXELS)
    for (let pair = 0; pair < 12; pair += 1) await bisect(firewall, pixels(pair, 1), pixels(pair + 50, 1))
    expect(pauses.length).toBeGreaterThan(0)
    expect(new Set(pauses)).toEqual(new Set([250]))
  })
})

describe("the firewall", () => {
  it("knows clients by their token only", async () => {
    const { firewall } = openFirewall({}, 4)
    expect(firewall.identify(token("b"))).toBe("b")
    await expect(() => firewall.identify(token("c"))).toFailWithCode("CLIENT_UNKNOWN")
    await expect(() => firewall.admit("a", token("z"))).toFailWithCode("KEY_EXISTS")
  })

  it("limits the rate of each client by rows", async () => {
    const { firewall, clock } = openFirewall({ rate: { rowsPerSecond: 10, burstRows: 4 } }, 4)
    const three = row([0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0])
    await firewall.call("a", [three], classify, NEVER)
    await expect(firewall.call("a", [three], classify, NEVER)).toFailWithCode("RATE_LIMITED")
    await firewall.call("b", [three], classify, NEVER)
    clock.ms += 200
    await firewall.call("a", [three], classify, NEVER)
  })

  it("spends the lifetime budget before the model answers, for all clients together, and goes on after a restart", async () => {
    const { firewall, spent } = openFirewall({ lifetimeRows: 3 }, 4)
    await firewall.call("a", [row([0, 0, 0, 0], [0, 0, 0, 0])], classify, NEVER)
    const failing = async () => Promise.reject(new Error("out of memory"))
    await expect(firewall.call("b", [row([0, 0, 0, 0])], failing, NEVER)).rejects.toThrow("out of memory")
    expect(spent).toEqual([2, 3])
    await expect(firewall.call("a", [row([0, 0, 0, 0])], classify, NEVER)).toFailWithCode("BUDGET_SPENT")
    const again = openFirewall({ lifetimeRows: 3 }, 4, 3)
    await expect(again.firewall.call("a", [row([0, 0, 0, 0])], classify, NEVER)).toFailWithCode(
      "BUDGET_SPENT",
    )
  })

  it("keeps one record a call, with inputs as a salted digest", async () => {
    const { firewall, audit } = openFirewall({}, 4)
    await firewall.call("a", [row([1, 2, 3, 4])], classify, NEVER)
    await firewall.call("a", [row([1, 2, 3, 4])], classify, NEVER)
    await expect(firewall.call("a", [row([Number.NaN, 2, 3, 4])], classify, NEVER)).toFailWithCode(
      "INPUT_REFUSED",
    )
    expect(audit.map(({ decision, code, rows }) => [decision, code, rows])).toEqual([
      ["answered", null, 1],
      ["answered", null, 1],
      ["refused", "INPUT_REFUSED", 0],
    ])
    expect(audit[0]?.inputs).toBe(audit[1]?.inputs)
    const other = openFirewall({}, 4, 0, 9)
    await other.firewall.call("a", [row([1, 2, 3, 4])], classify, NEVER)
    expect(other.audit[0]?.inputs).not.toBe(audit[0]?.inputs)
  })
})

const NEVER = new AbortController().signal

function openFirewall(change: Partial<FirewallRules>, width: number, rowsUsed = 0, salt = 1) {
  const audit: AuditRecord[] = []
  const spent: number[] = []
  const pauses: number[] = []
  const clock = { ms: 0 }
  const firewall = new Firewall({
    rules: { ...DEFAULT_FIREWALL, ...change },
    inputs: [{ name: "x", type: "float32", shape: ["batch", width] }],
    rowsUsed,
    salt: Buffer.alloc(32, salt),
    seed: Buffer.alloc(32, 2),
    now: () => new Date("2026-01-01T00:00:00Z"),
    clockMs: () => clock.ms,
    spend: async (rows) => void spent.push(rows),
    audit: (record) => void audit.push(record),
    pause: async (ms) => void pauses.push(ms),
  })
  firewall.admit("a", token("a"))
  firewall.admit("b", token("b"))
  return { firewall, audit, spent, pauses, clock }
}

function token(letter: string): Uint8Array {
  return Buffer.alloc(32, letter)
}

/** A classifier of two classes with a boundary in the middle of the data: the sign of a fixed projection. */
async function classify(inputs: readonly FirewallArray[]): Promise<readonly FirewallArray[]> {
  const [input] = inputs
  if (input === undefined) throw new Error("no input")
  const values = numbersOf(input)
  const rows = input.shape[0] ?? 1
  const width = values.length / rows
  const scores = new Float32Array(rows * 2)
  for (let at = 0; at < rows; at += 1) {
    let sum = 0
    for (let index = 0; index < width; index += 1)
      sum += (index < width / 2 ? 1 : -1) * (values[at * width + index] ?? 0)
    scores.set([sum, -sum], at * 2)
  }
  return [{ name: "y", type: "float32", shape: [rows, 2], data: new Uint8Array(scores.buffer) }]
}

/** What a boundary attack does: halve the way between two inputs of different answers. */
async function bisect(firewall: Firewall, from: Float32Array, to: Float32Array): Promise<void> {
  const ask = async (x: Float32Array) => {
    const outputs = await firewall.call("a", [image(x, 1)], classify, NEVER)
    return labelsOf(outputs, 1)?.[0]
  }
  let [low, high] = [from, to]
  const label = await ask(low)
  if (label === (await ask(high))) return
  for (let step = 0; step < 20; step += 1) {
    const middle = low.map((value, index) => (value + (high[index] ?? 0)) / 2)
    if ((await ask(middle)) === label) low = middle
    else high = middle
  }
}

function pixels(from: number, count: number): Float32Array {
  return Float32Array.from(images.subarray(from * PIXELS, (from + count) * PIXELS), (value) => value / 255)
}

function image(values: Float32Array, rows: number): FirewallArray {
  return { name: "x", type: "float32", shape: [rows, PIXELS], data: new Uint8Array(values.buffer) }
}

function row(...rows: readonly (readonly number[])[]): FirewallArray {
  const values = Float32Array.from(rows.flat())
  return { name: "x", type: "float32", shape: [rows.length, 4], data: new Uint8Array(values.buffer) }
}
