import path from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { openRegular } from "../../../main/platform/files.ts"
import { runtimeLauncher } from "../../../main/platform/runtime/launcher.ts"
import type { ModelSource } from "../../../main/services/ports.ts"
import { MODELS } from "../../support/workspace.ts"

const never = new AbortController().signal

async function plainModel(): Promise<ModelSource> {
  const file = await openRegular(path.join(MODELS, "fashion-cnn.onnx"))
  onTestFinished(async () => file.close())
  return { kind: "plain", files: [{ name: "fashion-cnn.onnx", file }] }
}

test("a runtime started at R0 says so and loads the model", async () => {
  const runtime = await runtimeLauncher.start(await plainModel(), { level: "R0", minimum: "R0" }, never)
  onTestFinished(async () => runtime.close())
  expect(runtime.level).toEqual({ asked: "R0", reached: "R0", reason: "", steps: [] })
  expect(runtime.model.inputs.length).toBe(1)
})

test("a grant that demands more than what was asked for is refused", async () => {
  const start = runtimeLauncher.start(await plainModel(), { level: "R0", minimum: "R1" }, never)
  await expect(start).toFailWithCode("RUNTIME_LEVEL")
})

test("a probe names every measure of every level", async () => {
  const report = await runtimeLauncher.probe(never)
  expect(report.asked).toBeNull()
  expect(new Set(report.steps.map(({ level }) => level))).toEqual(new Set(["R1", "R2"]))
  expect(report.reason === "").toBe(report.reached === "R2")
})
