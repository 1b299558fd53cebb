/**
 * A device in a process of its own: loads a sealed package into a runtime and does what it is told, a word a line:
 * `infer N`, `unload`, `close`. Answers a JSON line each. Arguments: workspace, package, device, level.
 */
import path from "node:path"
import { createInterface } from "node:readline"
import { levelSchema } from "../../main/contract/schema/runtime.ts"
import { toAppError } from "../../main/contract/errors.ts"
import { localPorts } from "../../main/platform/ports.ts"
import type { RuntimeProcess, Tensor } from "../../main/services/ports.ts"
import { loadSealedModel } from "../../main/services/sealed-model.ts"

const [workspace = "", file = "", device = "", level = ""] = process.argv.slice(2)
const never = new AbortController().signal
const { ports, close } = localPorts(path.resolve(workspace))

try {
  const request = { file: ports.files.refer(path.resolve(file)), device, trust: null }
  const { runtime } = await loadSealedModel(ports, request, levelSchema.parse(level), never)
  say({ kind: "loaded", level: runtime.level.reached, loadMs: runtime.model.loadMs })
  const inputs = exampleInputs(runtime)
  for await (const line of createInterface({ input: process.stdin })) {
    const [word, count] = line.split(" ")
    if (word === "infer") {
      for (let i = 0; i < Number(count); i++) await runtime.infer(inputs, never)
      say({ kind: "inferred" })
    } else if (word === "unload") say({ kind: "unloaded", ms: await runtime.unload() })
    else if (word === "close") {
      await runtime.close()
      say({ kind: "closed" })
    }
  }
  await runtime.close()
} catch (error) {
  const { code, message } = toAppError(error)
  say({ kind: "failed", code, message })
} finally {
  await close()
}

function say(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

/** One row of small numbers for every input, in the type it wants. */
function exampleInputs(runtime: RuntimeProcess): readonly Tensor[] {
  return runtime.model.inputs.map(({ name, type, shape }) => {
    const sizes = shape.map((size) => (typeof size === "number" ? size : 1))
    const count = sizes.reduce((product, size) => product * size, 1)
    const values = Float32Array.from({ length: count }, (_, index) => Math.sin(index))
    const data =
      type === "float32"
        ? new Uint8Array(values.buffer)
        : new Uint8Array(count * BYTES[type as keyof typeof BYTES])
    return { name, type, shape: sizes, data }
  })
}

const BYTES = { float16: 2, float64: 8, int64: 8, int32: 4, uint8: 1, int8: 1 } as const
