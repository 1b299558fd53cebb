/** Running a model in memory on rows of evaluation data. */
import * as ort from "onnxruntime-node"
import { readFileSync } from "node:fs"
import path from "node:path"
import { CORPUS } from "./onnx-models.ts"

/** Logits of a fashion model, rows x 10, on the first images of the evaluation set. */
export async function fashionLogits(model: Uint8Array, rows: number, batch = 100): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, logSeverityLevel: 3 })
  try {
    const images = readFileSync(path.join(CORPUS, "data/fashion-eval-x.npy")).subarray(128)
    const out = new Float32Array(rows * 10)
    for (let first = 0; first < rows; first += batch) {
      const count = Math.min(batch, rows - first)
      const pixels = images.subarray(first * 784, (first + count) * 784)
      const input = Float32Array.from(pixels, (x) => (x / 255 - 0.286) / 0.353)
      const [name = "input"] = session.inputNames
      const result = await session.run({ [name]: new ort.Tensor("float32", input, [count, 1, 28, 28]) })
      const logits = result[session.outputNames[0] ?? ""]?.data
      if (!(logits instanceof Float32Array)) throw new Error("the model has no float output")
      out.set(logits, first * 10)
    }
    return out
  } finally {
    await session.release()
  }
}

export function fashionLabels(rows: number): Uint8Array {
  return readFileSync(path.join(CORPUS, "data/fashion-eval-y.npy")).subarray(128, 128 + rows)
}

export function topClasses(logits: Float32Array, classes = 10): Uint8Array {
  return Uint8Array.from({ length: logits.length / classes }, (_, row) => {
    let best = 0
    for (let k = 1; k < classes; k += 1)
      if ((logits[row * classes + k] ?? 0) > (logits[row * classes + best] ?? 0)) best = k
    return best
  })
}

export function shareEqual(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((count, value, i) => count + (value === b[i] ? 1 : 0), 0) / a.length
}
