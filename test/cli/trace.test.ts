/** `sealwright trace` as the owner of a leaked model meets it. */
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { followJob } from "../../main/contract/client.ts"
import type { TraceRequest, TraceResult } from "../../main/contract/schema/trace.ts"
import { collude } from "../support/attacks/collusion.ts"
import { quantise } from "../support/attacks/formats.ts"
import { permuteChannels } from "../support/attacks/neurons.ts"
import { putTogether, takeApart } from "../support/attacks/onnx-editor.ts"
import { Dice } from "../support/attacks/random.ts"
import { TRANSPORTS } from "../support/engines.ts"
import { markWorkspace, type MarkedWorkspace } from "../support/marked-workspace.ts"
import { cli, cliJson, cliRefusal, MODELS, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const at = (name: string) => path.join(folder, name)
const workspace = ["--workspace", at("workspace")]
const ORIGINAL = path.join(MODELS, "fashion-cnn.onnx")
let marked: MarkedWorkspace

/** The engine's own answer, without the start of a process for each. */
async function traceIn(
  home: string,
  suspect: string,
  options: { readonly original?: string | null } & Partial<Omit<TraceRequest, "original" | "suspect">> = {},
): Promise<TraceResult> {
  const { original = ORIGINAL, level = 1e-6, top = 10, report = null } = options
  const connection = TRANSPORTS[0]?.open(at(home))
  if (connection === undefined) throw new Error("no transport")
  const { engine, close } = connection
  try {
    const refer = async (file: string) => engine.files.refer({ path: file })
    return await followJob(
      await engine.trace({
        suspect: await refer(suspect),
        original: original === null ? null : await refer(original),
        level,
        top,
        report,
      }),
    )
  } finally {
    await close()
  }
}

beforeAll(async () => {
  marked = await markWorkspace(at("workspace"), "fashion-cnn.onnx", 20)
  writeFileSync(at("plain.onnx"), await marked.copyOf(3))
})

describe("a leaked copy", () => {
  test("is traced to its device after its channels were exchanged and its weights rounded to 8 bits", async () => {
    const model = takeApart(await marked.copyOf(7))
    permuteChannels(model, new Dice("leak"))
    quantise(model, 8, true)
    writeFileSync(at("leak.onnx"), putTogether(model))
    const args = ["trace", at("leak.onnx"), "--original", ORIGINAL, ...workspace, "--top", "3"]
    const result = await cliJson<TraceResult>(args)
    expect(result.decision).toBe("device-named")
    expect(result.devices.length).toBe(3)
    expect(result.devices[0]).toMatchObject({ device: "press-7", number: 7, accused: true })
    expect(result.devices[0]?.log10p).toBeLessThan(-100)
    expect(result.devices[1]?.accused).toBe(false)
    expect(result.owner.log10p).toBeLessThan(-100)
    expect(result.alignment.done.join()).toContain("channels put back")
    expect(result.alignment.unmatched).toEqual([])
    expect([result.compared, result.tests]).toEqual([20, 160])
    expect(result.collusion).toBeNull()
  })

  test("of several devices is traced to them, with a hint that copies were merged", async () => {
    const copies = await Promise.all([2, 5, 9].map(async (device) => takeApart(await marked.copyOf(device))))
    writeFileSync(at("merged.onnx"), putTogether(collude(copies, "mean", new Dice("mean"))))
    const result = await traceIn("workspace", at("merged.onnx"), { top: 1 })
    const accused = result.devices.filter((device) => device.accused).map(({ number }) => number)
    expect(accused.toSorted((a, b) => a - b)).toEqual([2, 5, 9])
    expect(result.collusion?.devices.length).toBe(3)
  })

  test("leaves evidence: a page and its data, which an existing report is not replaced by", async () => {
    const args = ["trace", at("plain.onnx"), "--original", ORIGINAL, ...workspace, "--report", at("evidence")]
    const { status, stdout } = await cli(args)
    expect(status).toBe(0)
    expect(stdout).toContain("press-3")
    const page = readFileSync(at("evidence/report.html"), "utf8")
    const data = JSON.parse(readFileSync(at("evidence/report.json"), "utf8")) as TraceResult
    const digests = [...data.evidence.suspect, ...data.evidence.original].map(({ sha256 }) => sha256)
    for (const text of ["press-3", "Tardos", "<svg", ...digests]) expect(page).toContain(text)
    expect(page).not.toContain("NaN")
    expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/)
    expect((await cliRefusal(args)).code).toBe("OUTPUT_EXISTS")
    expect((await cli([...args, "--force"])).status).toBe(0)
  })

  test("is compared with the original beside it when none is named", async () => {
    copyFileSync(ORIGINAL, at("fashion-cnn.onnx"))
    const result = await traceIn("workspace", at("plain.onnx"), { original: null })
    expect(result.devices[0]).toMatchObject({ device: "press-3", accused: true })
  })
})

describe("what is no leaked copy", () => {
  test.each([
    ["another architecture", "fashion-resnet.onnx", "not-derived"],
    ["a model without layers", "cancer-forest.onnx", "not-derived"],
    ["the unmarked original", "fashion-cnn.onnx", "not-proven"],
  ])("%s accuses nobody", async (_, name, decision) => {
    const result = await traceIn("workspace", path.join(MODELS, name))
    expect(result.decision).toBe(decision)
    expect(result.devices.filter(({ accused }) => accused)).toEqual([])
    expect(result.devices.every(({ log10p }) => log10p > -3)).toBe(true)
    if (decision === "not-derived")
      expect(result.statement).toContain("not derived from the original, or it was changed beyond alignment")
  })

  test("a file that is cut or is no model is refused", async () => {
    writeFileSync(at("cut.onnx"), (await marked.copyOf(3)).subarray(0, 200_000))
    writeFileSync(at("text.onnx"), "not a model at all, but some text")
    await expect(traceIn("workspace", at("cut.onnx"))).toFailWithCode("ONNX_TRUNCATED")
    await expect(traceIn("workspace", at("text.onnx"))).toFailWithCode("ONNX_NOT_A_MODEL")
    await expect(traceIn("workspace", at("nowhere.onnx"))).toFailWithCode("FILE_NOT_FOUND")
  })

  test("nothing is compared without the original, with another one, or under another owner's ledger", async () => {
    const suspect = path.join(MODELS, "mnist-ms.onnx")
    writeFileSync(at("workspace/alone.onnx"), readFileSync(suspect))
    const original = path.join(MODELS, "fashion-mlp.onnx")
    await expect(traceIn("workspace", suspect, { original: at("gone.onnx") })).toFailWithCode(
      "FILE_NOT_FOUND",
    )
    await expect(traceIn("workspace", at("workspace/alone.onnx"), { original: null })).toFailWithCode(
      "MARK_ORIGINAL_MISSING",
    )
    await expect(traceIn("workspace", suspect, { original })).toFailWithCode("MARK_UNKNOWN")
    await markWorkspace(at("other"), "fashion-mlp.onnx", 2)
    await expect(traceIn("other", at("plain.onnx"))).toFailWithCode("MARK_UNKNOWN")
    await expect(traceIn("empty", suspect)).toFailWithCode("LEDGER_NOT_FOUND")
  })

  test("another owner who marked the same original does not find a mark in our copies", async () => {
    await markWorkspace(at("rival"), "fashion-cnn.onnx", 5)
    const result = await traceIn("rival", at("plain.onnx"))
    expect(result.decision).toBe("not-proven")
    expect(result.devices.some(({ accused }) => accused)).toBe(false)
  })

  test("a level that makes no sense is a usage error, and a refusal leaves no report behind", async () => {
    expect((await cliRefusal(["trace", at("plain.onnx"), "--level", "2", ...workspace])).code).toBe("USAGE")
    await cliRefusal([
      "trace",
      at("cut.onnx"),
      "--original",
      ORIGINAL,
      ...workspace,
      "--report",
      at("nothing"),
    ])
    expect(existsSync(at("nothing/report.html"))).toBe(false)
  })
})
