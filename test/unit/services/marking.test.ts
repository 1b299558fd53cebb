import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { followJob } from "../../../main/contract/client.ts"
import type { MarkRequest } from "../../../main/contract/schema/mark.ts"
import { useDesk } from "../../support/desk.ts"
import { block, join } from "../../support/protobuf.ts"
import { model, tensor, TYPE } from "../../support/onnx-models.ts"
import { DATA, MODELS } from "../../support/workspace.ts"

const desk = useDesk()

async function calibrated(data = "fashion", budget: number | null = null): Promise<MarkRequest> {
  const refer = async (name: string) => desk.engine.files.refer({ path: path.join(DATA, name) })
  const isImage = data === "fashion"
  return {
    calibration: await refer(`${data}-calib-x.npy`),
    labels: isImage ? await refer(`${data}-calib-y.npy`) : null,
    normalise: isImage ? { mean: 0.286, std: 0.353 } : null,
    budget,
  }
}

const DEFAULT: MarkRequest = { calibration: null, labels: null, normalise: null, budget: null }

async function openedFile(seal: string, device: string, name: string): Promise<Buffer> {
  const { files } = await desk.open(seal, desk.at(name), device)
  expect(files.length).toBe(1)
  return readFileSync(desk.at(name))
}

interface MarkStatement {
  readonly subject: readonly unknown[]
  readonly predicate: { readonly measured: Readonly<Record<string, unknown>> }
}

/** The statement about the mark in a .seal file: the payload of the one bundle that speaks of a commitment. */
function markStatement(seal: Buffer): MarkStatement {
  const payloads = [...seal.toString("latin1").matchAll(/"payload":\s*"([A-Za-z0-9+/=]+)"/g)]
  const texts = payloads.map(([, payload = ""]) => Buffer.from(payload, "base64").toString())
  const found = texts.find((text) => text.includes("attestation:mark-commitment:v1"))
  if (found === undefined) throw new Error("the package says nothing about its mark")
  return JSON.parse(found) as MarkStatement // the predicate's shape is what is tested
}

// Slow because strengths are found by running the model some twenty times.
describe("a marked package", { timeout: 240_000 }, () => {
  test("gives every device another copy of the original's size, the same each time, that measures as promised", async () => {
    const mark = await calibrated()
    const options = { devices: ["press-07", "press-08"], mark }
    const made = await desk.protect("fashion-cnn.onnx", desk.at("one.seal"), options)
    const original = readFileSync(path.join(MODELS, "fashion-cnn.onnx"))
    const seven = await openedFile(desk.at("one.seal"), "press-07", "seven.onnx")
    const eight = await openedFile(desk.at("one.seal"), "press-08", "eight.onnx")
    expect(new Set([original, seven, eight].map(sha256)).size).toBe(3)
    expect([seven.length, eight.length]).toEqual([original.length, original.length])
    expect(made.notApplied.map(({ what }) => what)).not.toContain("mark")
    expect(made.mark).toMatchObject({ tensors: 4, carriers: 94_272, isKnownModel: false, notMeasured: null })
    const { measured } = made.mark ?? {}
    expect(measured).toMatchObject({ on: "calibration", copies: 2 })
    expect(measured?.outputChange).toBeGreaterThan(0.005)
    expect(measured?.outputChange).toBeLessThan(0.0184)
    expect(measured?.agreement).toBeGreaterThanOrEqual(0.98)
    expect(made.mark?.deviceScore).toBeGreaterThan(20)

    // What the mark was measured to cost is signed and travels with the package; the accuracy itself does not.
    const said = markStatement(readFileSync(desk.at("one.seal")))
    expect(said.subject.length).toBe(2)
    expect(said.predicate).toMatchObject({
      commitment: { sha256: made.mark?.commitment },
      changedShare: 0.9895,
      measured: { rows: measured?.rows, copies: 2, agreement: measured?.agreement },
      notMeasured: null,
    })
    expect(Object.keys(said.predicate.measured)).not.toContain("accuracyBefore")

    const again = await desk.protect("fashion-cnn.onnx", desk.at("two.seal"), options)
    expect(again.mark).toMatchObject({ isKnownModel: true, commitment: made.mark?.commitment })
    expect(sha256(await openedFile(desk.at("two.seal"), "press-07", "seven-again.onnx"))).toBe(sha256(seven))
    const status = await desk.engine.ledger.status()
    expect(status.devices.map(({ name }) => name)).toEqual(["press-07", "press-08"])
    expect(status.models.map(({ copies }) => copies)).toEqual([4])

    // Copies that are out are not drawn anew, even where the owner would allow less by now; what they cost is said.
    const strict = { ...options, mark: await calibrated("fashion", 0.5) }
    const kept = await desk.protect("fashion-cnn.onnx", desk.at("three.seal"), strict)
    expect(kept.mark?.measured?.outputChange).toBeGreaterThan(0.005)
    expect(kept.mark?.measured).toEqual(measured)
  })

  test("of a fleet opens as a model of its own for each device, from one payload", async () => {
    const options = { devices: ["press-07", "press-08"], mode: "fleet" as const, mark: DEFAULT }
    const made = await desk.protect("fashion-vit.onnx", desk.at("fleet.seal"), options)
    expect(made.packages.length).toBe(1)
    expect((await desk.verify(desk.at("fleet.seal"), "press-08")).verdict).toBe("verified")
    const seven = await openedFile(desk.at("fleet.seal"), "press-07", "fleet-seven.onnx")
    const eight = await openedFile(desk.at("fleet.seal"), "press-08", "fleet-eight.onnx")
    const differing = seven.reduce((count, byte, i) => count + (byte === eight[i] ? 0 : 1), 0)
    expect(differing).toBeGreaterThan(2000)
    // Only S tells devices apart: at most a fifth of the weights.
    expect(differing).toBeLessThan(0.25 * seven.length)
    expect(made.mark).toMatchObject({
      notMeasured: "without calibration data nothing is known about accuracy",
    })
    expect(made.mark?.overlayBytes).toBeGreaterThan(10_000)
    expect(made.mark?.knownSubsetFactor).toBeCloseTo(0.47, 1)
  })

  test("is compared with itself by validate, and with the original for accuracy", async () => {
    await desk.protect("fashion-mlp.onnx", desk.at("mlp.seal"), { mark: await calibrated() })
    const refer = async (name: string) => desk.engine.files.refer({ path: name })
    const { validation } = await followJob(
      await desk.engine.validate({
        file: await refer(desk.at("mlp.seal")),
        device: "press-07",
        trust: null,
        model: await refer(path.join(MODELS, "fashion-mlp.onnx")),
        data: await refer(path.join(DATA, "fashion-eval-x.npy")),
        labels: await refer(path.join(DATA, "fashion-eval-y.npy")),
        normalise: { mean: 0.286, std: 0.353 },
        batch: 250,
        report: { file: await refer(desk.at("report")), replace: false },
      }),
    )
    expect(validation.equality).toMatchObject({ identicalRows: 2000, comparedWith: "marked-copy" })
    expect(validation.accuracy?.plain).toBeCloseTo(0.886, 4)
    expect(Math.abs((validation.accuracy?.sealed ?? 0) - 0.886)).toBeLessThanOrEqual(0.003)
    expect(validation.accuracy?.agreement).toBeGreaterThanOrEqual(0.99)
  })
})

describe("protect refuses to mark", () => {
  const weight = (values: Float32Array) =>
    model(
      block(1, block(1, "x"), block(1, "w"), block(2, "y"), block(4, "MatMul")),
      block(5, tensor("w", TYPE.float, [64, 64], block(9, new Uint8Array(values.buffer)))),
      block(11, block(1, "x")),
      block(12, block(1, "y")),
    )
  const values = Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i * 1.1))

  test.each([
    ["a forest of trees", path.join(MODELS, "cancer-forest.onnx")],
    ["a linear model in attributes", path.join(MODELS, "wine-linear.onnx")],
    ["weights that are all zero", weight(values.map(() => 0))],
    ["weights that are all the same", weight(values.map(() => 0.25))],
    ["a NaN among the weights", weight(values.with(9, Number.NaN))],
    ["an infinity among the weights", weight(values.with(9, Number.NEGATIVE_INFINITY))],
  ])("%s, and says that nothing can carry it", async (name, source) => {
    const file = typeof source === "string" ? source : desk.at(`${name}.onnx`)
    if (typeof source !== "string") writeFileSync(file, join(source))
    const refused = desk.protect(file, desk.at(`${name}.seal`), { mark: DEFAULT })
    await expect(refused).toFailWithCode("MARK_NOTHING")
    await desk.protect(file, desk.at(`${name}.seal`), { mark: null })
  })

  test("a model so small that the mark would name nobody, with the strength it could have", async () => {
    const refused = desk.protect("cancer-mlp.onnx", desk.at("small.seal"), { mark: DEFAULT })
    await expect(refused).toFailWithCode("MARK_TOO_WEAK")
    await expect(refused).rejects.toThrow(/score \d+\.\d .* and 7\.5 is needed/)
  })

  test("calibration data of another shape", async () => {
    const refused = desk.protect("fashion-cnn.onnx", desk.at("shape.seal"), {
      mark: await calibrated("digits"),
    })
    await expect(refused).toFailWithCode("INPUT_MISMATCH")
  })
})

test("inspect tells what can carry a mark and why the rest cannot", async () => {
  const file = await desk.engine.files.refer({ path: path.join(MODELS, "fashion-cnn.onnx") })
  const summary = await desk.engine.inspect({ file })
  if (summary.kind !== "model") throw new Error("this is a model")
  const marks = new Map(summary.tensors.map(({ name, mark }) => [name, mark]))
  expect(marks.get("fc1.weight")).toEqual({ carries: true, why: null })
  expect(marks.get("conv1.weight")).toEqual({ carries: false, why: "fan-in of 9, below 16" })
  expect(marks.get("fc1.bias")).toEqual({ carries: false, why: "bias, scale or vector" })
})

describe("the ledger's backup", () => {
  test("opens in another workspace with the owner's identity, and marks the same device alike there", async () => {
    const refer = async (name: string) => desk.engine.files.refer({ path: name })
    const output = { file: await refer(desk.at("ledger.backup")), replace: true }
    const exported = await desk.engine.ledger.export({ output })
    expect(exported.alsoNeeded).toContain("owner.txt")
    const before = await desk.engine.ledger.status()
    expect(before.exportedAt).not.toBeNull()
    const backup = readFileSync(desk.at("ledger.backup"))
    expect(backup.includes("AGE-SECRET-KEY")).toBe(false)

    const file = await refer(desk.at("ledger.backup"))
    const identity = await refer(path.join(desk.workspace, "ledger/owner.txt"))
    await expect(desk.engine.ledger.import({ file, identity })).toFailWithCode("LEDGER_EXISTS")
    const other = await import("../../../main/platform/ports.ts")
    const { createEngine } = await import("../../../main/services/engine.ts")
    const { localEngine } = await import("../../../main/contract/server.ts")
    const { ports, close } = other.localPorts(desk.at("restored"))
    try {
      const engine = localEngine(createEngine(ports))
      const there = async (name: string) => engine.files.refer({ path: name })
      const from = { file: await there(desk.at("ledger.backup")) }
      await expect(engine.ledger.import({ ...from, identity: null })).toFailWithCode("USAGE")
      const restored = await engine.ledger.import({
        ...from,
        identity: await there(path.join(desk.workspace, "ledger/owner.txt")),
      })
      expect(restored).toEqual(before)
    } finally {
      await close()
    }
  })
})

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}
