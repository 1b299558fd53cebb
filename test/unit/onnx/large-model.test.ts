import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { InferenceSession, Tensor } from "onnxruntime-node"
import { afterAll, expect, it } from "vitest"
import { checkExternalSizes, readExternalFiles } from "../../../main/core/onnx/external-files.ts"
import { indexOf } from "../../support/onnx-models.ts"
import { writeLargeModel } from "../../support/large-model.ts"

const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-large-"))
afterAll(() => rmSync(folder, { recursive: true }))

it("writes a stack of the asked size, the same for the same seed", async () => {
  const options = { megabytes: 3, width: 256, seed: 5 }
  const made = writeLargeModel(path.join(folder, "a.onnx"), options)
  expect(made).toMatchObject({ layers: 11, width: 256, parameterCount: 11 * 256 * 257, dataPath: null })
  const bytes = readFileSync(made.modelPath)
  expect(readFileSync(writeLargeModel(path.join(folder, "b.onnx"), options).modelPath)).toEqual(bytes)
  const other = writeLargeModel(path.join(folder, "c.onnx"), { ...options, seed: 6 })
  expect(readFileSync(other.modelPath)).not.toEqual(bytes)

  const index = await indexOf(bytes)
  expect(index.parameterCount).toBe(made.parameterCount)
  expect(index.operators).toMatchObject([
    { opType: "Gemm", count: 11 },
    { opType: "Relu", count: 10 },
  ])
  expect(index.inputs).toMatchObject([
    { name: "input", type: { elementType: "FLOAT", shape: ["batch", 256] } },
  ])
})

it("keeps the weights the same in a file of their own, each on a page", async () => {
  const inline = writeLargeModel(path.join(folder, "inline.onnx"), { megabytes: 1, width: 100 })
  const outside = writeLargeModel(path.join(folder, "outside.onnx"), {
    megabytes: 1,
    width: 100,
    external: true,
  })
  const bytes = readFileSync(inline.modelPath)
  const weights = (await indexOf(bytes)).tensors.map(({ storage }) =>
    storage.kind === "raw" ? bytes.subarray(storage.offset, storage.offset + storage.length) : null,
  )
  const [file, ...others] = readExternalFiles(await indexOf(readFileSync(outside.modelPath)))
  if (file === undefined || outside.dataPath === null) throw new Error("no external file")
  expect(others).toEqual([])
  checkExternalSizes([file], new Map([[path.basename(outside.dataPath), statSync(outside.dataPath).size]]))
  const data = readFileSync(outside.dataPath)
  expect(file.ranges.map(({ offset, length }) => data.subarray(offset, offset + length))).toEqual(weights)
  expect(file.ranges.every(({ offset }) => offset % 4096 === 0)).toBe(true)
})

it("makes models that onnxruntime runs, with the same result inline and external", async () => {
  const options = { megabytes: 2, width: 128 }
  const files = [false, true].map((external) =>
    writeLargeModel(path.join(folder, `run-${String(external)}.onnx`), { ...options, external }),
  )
  const input = new Tensor("float32", new Float32Array(128).fill(0.5), [1, 128])
  const outputs = await Promise.all(
    files.map(async ({ modelPath }) => {
      const session = await InferenceSession.create(modelPath)
      const { output } = await session.run({ input })
      return output?.data
    }),
  )
  expect(outputs[0]).toEqual(outputs[1])
  const values = Array.from(outputs[0] as Float32Array) // float32 by the model's output type
  expect(values.every(Number.isFinite)).toBe(true)
  expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(0.01)
})

it("refuses weights of more than 2 GB inside the model before it writes any", () => {
  const file = path.join(folder, "huge.onnx")
  expect(() => writeLargeModel(file, { megabytes: 3000 })).toThrow(RangeError)
  expect(() => statSync(file)).toThrow("ENOENT")
})
