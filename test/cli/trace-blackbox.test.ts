/** `sealwright trace --blackbox`: whose copy answers like this? */
import { writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import type { TracedBlackbox } from "../../main/contract/schema/trace-blackbox.ts"
import { suspectCommands } from "../../main/platform/trace/suspect-command.ts"
import { markWorkspace } from "../support/marked-workspace.ts"
import { cliJson, cliRefusal, DATA, MODELS, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const at = (name: string) => path.join(folder, name)
const ORIGINAL = path.join(MODELS, "fashion-mlp.onnx")
const INPUTS = path.join(DATA, "fashion-calib-x.npy")
const SERVER = path.join(import.meta.dirname, "../support/answering-suspect.mjs")
const COMMON = ["trace", "--blackbox", "--original", ORIGINAL, "--workspace", at("workspace")]
const FAKES = 20

beforeAll(async () => {
  const marked = await markWorkspace(at("workspace"), "fashion-mlp.onnx", 3)
  writeFileSync(at("leak.onnx"), await marked.copyOf(3))
})

/** A command line that answers with the copy of device 3. */
function answering(fault = ""): string {
  return [process.execPath, SERVER, at("leak.onnx"), fault].map((word) => JSON.stringify(word)).join(" ")
}

// Slow because the copies of a hundred devices are run to settle the statistic.
test("a command that answers batches has its device ranked first, as a lead and not as an accusation", async () => {
  const settings = ["--normalise", "0.286,0.353", "--probes", "120", "--fakes", String(FAKES)]
  const result = await cliJson<TracedBlackbox>([
    ...COMMON,
    ...["--command", answering(), "--data", INPUTS],
    ...settings,
  ])
  expect(result.decision).toBe("device-ranked")
  expect(result.devices[0]).toMatchObject({ device: "press-3", number: 3, accused: false })
  expect(result.devices[0]?.p).toBeCloseTo(1 / (FAKES + 1), 9)
  expect([result.devices.length, result.queries]).toEqual([3, 120])
  // Copies of one model agree on nearly all labels: no evidence, and the rank does not take it for any.
  expect(result.onBoundary).toBeGreaterThan(0.9)
  expect(result.limits.length).toBeGreaterThan(0)
})

describe("a command that answers batches", () => {
  const batch = {
    name: "input",
    type: "float32",
    shape: [2, 1, 28, 28],
    data: new Uint8Array(2 * 784 * 4),
  }

  test("gives a label a row, batch after batch", async () => {
    const suspect = suspectCommands.start(answering())
    const first = await suspect.labels(batch)
    expect(first.length).toBe(2)
    expect(await suspect.labels(batch)).toEqual(first)
    await suspect.close()
  })

  test.each([
    ["ends before it answers", "silent"],
    ["answers something that is not JSON", "text"],
    ["answers with too few labels", "short"],
  ])("is refused when it %s", async (_, fault) => {
    const suspect = suspectCommands.start(answering(fault))
    await expect(suspect.labels(batch)).toFailWithCode("SUSPECT_ANSWERS")
    await suspect.close()
  })
})

test("a black box needs data the model takes, and a file or a command but not both", async () => {
  const refuse = async (...more: string[]) => (await cliRefusal([...COMMON, ...more])).code
  expect(await refuse("--data", INPUTS)).toBe("USAGE")
  expect(await refuse(at("leak.onnx"))).toBe("USAGE")
  expect(await refuse(at("leak.onnx"), "--data", INPUTS, "--command", "true")).toBe("USAGE")
  const other = path.join(DATA, "digits-calib-x.npy")
  expect(await refuse(at("leak.onnx"), "--data", other)).toBe("INPUT_MISMATCH")
})
