/** A suspect behind a command (docs/MARK.md): answers batches on standard input with the best classes of an ONNX model. */
import { createInterface } from "node:readline"
import * as ort from "onnxruntime-node"

const [, , model, fault] = process.argv
const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, logSeverityLevel: 3 })
for await (const line of createInterface({ input: process.stdin })) {
  if (fault === "silent") process.exit(0)
  const { name, shape, data } = JSON.parse(line)
  const bytes = Buffer.from(data, "base64")
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
  const outputs = await session.run({ [name]: new ort.Tensor("float32", values, shape) })
  const { data: scores, dims } = outputs[session.outputNames[0]]
  const [rows, classes] = dims
  const labels = Array.from({ length: rows }, (_, row) => {
    const own = scores.subarray(row * classes, (row + 1) * classes)
    return own.indexOf(Math.max(...own))
  })
  if (fault === "text") console.log("three, seven, one")
  else console.log(JSON.stringify({ labels: fault === "short" ? labels.slice(1) : labels }))
}
