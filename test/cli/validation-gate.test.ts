import { readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import type { Validated } from "../../main/contract/schema/validate.ts"
import { judgeGate, parseGate } from "../../main/core/policy/gate.ts"
import { cli, cliJson, DATA, MODELS, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const at = (name: string) => path.join(folder, name)
const workspace = ["--workspace", at("ws")]
const model = path.join(MODELS, "digits-mlp.onnx")

const figures = {
  isIdentical: true,
  accuracy: { plain: 0.95, sealed: 0.949, agreement: 0.995 },
  p50Overhead: 1.05,
  p95Overhead: 1.2,
  loadRatio: 3,
  level: "R1",
} as const

describe("a gate", () => {
  it("passes what keeps every limit", () => {
    const limits = {
      maxAccuracyLoss: 0.003,
      minAgreement: 0.99,
      maxP50Overhead: 1.1,
      maxP95Overhead: 1.25,
      maxLoadRatio: 4,
      requiredLevel: "R1",
    } as const
    const { passed, lines } = judgeGate(limits, figures)
    expect(passed).toBe(true)
    expect(lines).toHaveLength(7)
  })

  it.each([
    ["accuracy loss", { maxAccuracyLoss: 0.0005 }],
    ["agreement", { minAgreement: 0.999 }],
    ["latency at the median, sealed to plain", { maxP50Overhead: 1.01 }],
    ["latency at the 95th percentile, sealed to plain", { maxP95Overhead: 1.1 }],
    ["load time, sealed to plain", { maxLoadRatio: 2 }],
    ["runtime level", { requiredLevel: "R2" as const }],
  ])("fails on %s alone", (limit, limits) => {
    const { passed, lines } = judgeGate(limits, figures)
    expect(passed).toBe(false)
    expect(lines.filter((line) => !line.passed).map((line) => line.limit)).toEqual([limit])
  })

  it("fails on outputs that differ, and on accuracy that was not measured", () => {
    expect(judgeGate({}, { ...figures, isIdentical: false }).passed).toBe(false)
    expect(judgeGate({ maxAccuracyLoss: 1 }, { ...figures, accuracy: null }).passed).toBe(false)
    expect(judgeGate({}, { ...figures, accuracy: null }).passed).toBe(true)
  })

  it("that has a limit nobody knows is refused", async () => {
    for (const text of [`{"maxLatency": 1}`, `{"requiredLevel": "R9"}`, `{"maxAccuracyLoss": 2}`, "[]"])
      await expect(() => parseGate(Buffer.from(text))).toFailWithCode("GATE_MALFORMED")
  })
})

describe("validate", () => {
  beforeAll(async () => {
    await cliJson(["keys", "create", "release-1", ...workspace])
    await cliJson(["device", "add", "press-07", "--software", ...workspace])
    await cliJson(["protect", model, "--device", "press-07", "--no-mark", "-o", at("m.seal"), ...workspace])
  }, 120_000)

  it("signs its figures into the package, which still verifies, and measures every level in one run", async () => {
    writeFileSync(at("gate.json"), JSON.stringify({ maxAccuracyLoss: 0, requiredLevel: "R0" }))
    const { validation, signedBy } = await validate(["--gate", at("gate.json"), "--sign"])
    expect(signedBy?.key).toBe("release-1")
    expect(validation.gate.passed).toBe(true)
    const names = validation.lanes.map(({ name }) => name)
    expect(names[0]).toBe("plain")
    expect(names.at(-1)).toBe("firewall")
    expect([...names, ...validation.skippedLanes.map(({ name }) => name)].toSorted()).toEqual([
      "R0",
      "R1",
      "R2",
      "firewall",
      "plain",
    ])
    for (const lane of validation.lanes) {
      expect(lane.identicalRows).toBe(lane.rowsCompared)
      expect(lane.latencyMs.p50Low).toBeLessThanOrEqual(lane.latencyMs.p50)
      expect(lane.latencyMs.p50High).toBeGreaterThanOrEqual(lane.latencyMs.p50)
    }
    expect(await cliJson(["verify", at("m.seal"), "--device", "press-07", ...workspace])).toMatchObject({
      verdict: "verified",
    })
    const inspected = await cliJson<{
      signatures: { predicateType: string; statement: { predicate: Record<string, unknown> } }[]
    }>(["inspect", at("m.seal"), ...workspace])
    const signed = inspected.signatures.find(({ predicateType }) => predicateType.endsWith(":validation:v1"))
    const text = JSON.stringify(signed)
    expect(text).toContain('"passed":true')
    // Nothing that names the plaintext: the file is public.
    for (const secret of ["digits-mlp", "samplesMs", validation.data.sha256])
      expect(text).not.toContain(secret)
  }, 120_000)

  it("fails with the limit it broke, and its report says so", async () => {
    writeFileSync(at("strict.json"), JSON.stringify({ maxP50Overhead: 0.0001 }))
    const result = await cli([...args("strict"), "--gate", at("strict.json")])
    expect(result.status).toBe(3)
    expect(result.stdout).toContain("BROKEN latency at the median")
    expect(readFileSync(at("strict/report.html"), "utf8")).toContain("Gate: failed")
  }, 120_000)
})

function args(report: string): string[] {
  return [
    ...["validate", at("m.seal"), "--device", "press-07", "--model", model],
    ...["--data", path.join(DATA, "digits-eval-x.npy"), "--labels", path.join(DATA, "digits-eval-y.npy")],
    ...["--report", at(report), ...workspace],
  ]
}

async function validate(options: readonly string[]): Promise<Validated> {
  return cliJson([...args("out"), ...options])
}
