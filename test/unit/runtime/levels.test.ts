import path from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import type { RuntimeLevel } from "../../../main/contract/schema/runtime.ts"
import { openRegular } from "../../../main/platform/files.ts"
import { runtimeLauncher } from "../../../main/platform/runtime/launcher.ts"
import type { ModelSource, RuntimeProcess, Tensor } from "../../../main/services/ports.ts"
import { MODELS } from "../../support/workspace.ts"

const never = new AbortController().signal

async function plainModel(): Promise<ModelSource> {
  const file = await openRegular(path.join(MODELS, "fashion-cnn.onnx"))
  onTestFinished(async () => file.close())
  return { kind: "plain", files: [{ name: "fashion-cnn.onnx", file }] }
}

async function start(level: RuntimeLevel): Promise<RuntimeProcess> {
  const runtime = await runtimeLauncher.start(await plainModel(), { level, minimum: "R0" }, never)
  onTestFinished(async () => runtime.close())
  return runtime
}

const pixels = new Float32Array(4 * 28 * 28).map((_, index) => Math.sin(index))
const images: Tensor = {
  name: "image",
  type: "float32",
  shape: [4, 1, 28, 28],
  data: new Uint8Array(pixels.buffer),
}

test("a runtime started at R0 says so and loads the model", async () => {
  const runtime = await start("R0")
  expect(runtime.level).toEqual({ asked: "R0", reached: "R0", reason: "", steps: [] })
  expect(runtime.model.inputs.length).toBe(1)
})

test("a grant that demands more than what was asked for is refused", async () => {
  const model = await plainModel()
  const refused = runtimeLauncher.start(model, { level: "R0", minimum: "R1" }, never)
  await expect(refused).toFailWithCode("RUNTIME_LEVEL")
})

test("a probe names every measure of every level", async () => {
  const report = await runtimeLauncher.probe(never)
  expect(report.asked).toBeNull()
  expect(new Set(report.steps.map(({ level }) => level))).toEqual(new Set(["R1", "R2"]))
  expect(report.reason === "").toBe(report.reached === "R2")
})

describe.runIf(process.platform === "linux")("on Linux", () => {
  test("every measure of R2 is applied and held", async () => {
    const { steps, reached } = (await start("R2")).level
    expect(steps.filter(({ isHeld, isOptional }) => !isHeld && !isOptional)).toEqual([])
    expect(reached).toBe("R2")
  })

  test("the heap's figures reach the engine: what a model takes, and that it is given back", async () => {
    const model = await openRegular(path.join(MODELS, "fashion-resnet.onnx"))
    onTestFinished(async () => model.close())
    const source: ModelSource = { kind: "plain", files: [{ name: "fashion-resnet.onnx", file: model }] }
    const runtime = await runtimeLauncher.start(source, { level: "R2", minimum: "R0" }, never)
    onTestFinished(async () => runtime.close())
    const { heap: loaded } = await runtime.memory()
    await runtime.unload()
    const { heap: after } = await runtime.memory()
    if (loaded === null || after === null) throw new Error("a runtime at R2 has a heap of its own")
    expect(loaded).toMatchObject({ isSecret: true })
    expect(loaded.live - after.live).toBeGreaterThan(model.size / 2)
    expect(after.peak).toBeGreaterThanOrEqual(loaded.live)
    expect(after.used).toBeGreaterThanOrEqual(after.peak)
  })

  test("the outputs are the same to the last bit at every level", async () => {
    const outputs: Tensor[] = []
    for (const level of ["R0", "R1", "R2"] as const) {
      const runtime = await start(level)
      const name = runtime.model.inputs[0]?.name ?? ""
      const { outputs: tensors } = await runtime.infer([{ ...images, name }], never)
      outputs.push(...tensors)
    }
    const [plain, ...sealed] = outputs.map(({ data }) => Buffer.from(data).toString("hex"))
    expect(plain).toMatch(/[1-9a-f]/)
    expect(new Set(sealed)).toEqual(new Set([plain]))
  })
})
