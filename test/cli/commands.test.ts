/** The commands as people and scripts meet them. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import type { Summary } from "../../main/contract/schema/inspect.ts"
import type { Quickstarted } from "../../main/contract/schema/quickstart.ts"
import type { Ran } from "../../main/contract/schema/run.ts"
import type { Validated } from "../../main/contract/schema/validate.ts"
import type { Verdict } from "../../main/contract/schema/verify.ts"
import { readNpyHeader, readNpyRows } from "../../main/core/bytes/npy.ts"
import { writeNpyHeader } from "../../main/core/bytes/npy-header.ts"
import { sourceOf } from "../../main/core/bytes/source.ts"
import { cli, cliJson, cliRefusal, DATA, MODELS, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const workspace = ["--workspace", path.join(folder, "workspace")]
const at = (name: string) => path.join(folder, name)

const COMMANDS = [
  "quickstart",
  "inspect",
  "keys create",
  "keys list",
  "keys show",
  "keys remove",
  "device add",
  "device list",
  "device show",
  "device remove",
  "protect",
  "verify",
  "open",
  "run",
  "validate",
  "trace",
  "push",
  "pull",
  "sync",
  "registry login",
  "registry logout",
  "registry check",
  "registry list",
  "doctor",
]

describe("help", () => {
  test.each(COMMANDS)("%s has help with an example, --json and --workspace", async (command) => {
    const { status, stdout } = await cli([...command.split(" "), "--help"])
    expect(status).toBe(0)
    expect(stdout).toMatch(/Examples?:\n {2}sealwright /)
    expect(stdout).toContain("--json")
    expect(stdout).toContain("--workspace")
  })

  test("without a command it is shown, and the status says that nothing was done", async () => {
    expect((await cli([])).status).toBe(2)
    expect((await cli(["--help"])).status).toBe(0)
  })

  test("a reader that has seen enough is no failure", async () => {
    expect(await cli(["--help"], { closesStdout: true })).toMatchObject({
      status: 0,
      signal: null,
      stderr: "",
    })
  })

  test("an unknown command or option is a usage error", async () => {
    expect((await cli(["protecc"])).status).toBe(2)
    expect(await cliRefusal(["verify", "x.seal", "--nonsense"])).toMatchObject({ code: "USAGE", status: 2 })
    expect(await cliRefusal(["protect", "model.onnx"])).toMatchObject({ code: "USAGE", status: 2 })
  })
})

describe("quickstart", () => {
  let result: Quickstarted
  beforeAll(async () => {
    result = await cliJson(["quickstart", "--out", at("quick"), ...workspace])
  })

  test("ends with a verified package, predictions and a report", () => {
    expect(result.verdict.verdict).toBe("verified")
    expect(result.validation.equality).toEqual({
      rows: 500,
      identicalRows: 500,
      maxAbsoluteDifference: 0,
      comparedWith: "marked-copy",
    })
    // The key of the mark is fresh each time, so its cost varies within the budget.
    expect(result.validation.accuracy).toMatchObject({ kind: "top-1", plain: 0.904 })
    expect(Math.abs((result.validation.accuracy?.sealed ?? 0) - 0.904)).toBeLessThanOrEqual(0.006)
    expect(result.validation.accuracy?.agreement).toBeGreaterThanOrEqual(0.99)
    expect(readdirSync(at("quick")).sort()).toEqual([
      "fashion-cnn.seal",
      "predictions.npy",
      "report.html",
      "report.json",
    ])
  })

  test("writes a report that stands alone", () => {
    const html = readFileSync(at("quick/report.html"), "utf8")
    expect(html).toContain("500 of 500")
    expect(html.match(/<svg/g)?.length).toBeGreaterThanOrEqual(4)
    expect(html).not.toMatch(/<script|src="http|href="http/)
    const report = JSON.parse(readFileSync(at("quick/report.json"), "utf8")) as { readonly version: number }
    expect(report.version).toBe(1)
  })

  test("does not overwrite its results unless told to", async () => {
    expect(await cliRefusal(["quickstart", "--out", at("quick"), ...workspace])).toMatchObject({
      code: "OUTPUT_EXISTS",
    })
    await cliJson(["quickstart", "--out", at("quick"), "--force", ...workspace])
  })

  test("says plainly what was not applied", async () => {
    const left = result.protected.notApplied.map(({ what }) => what)
    expect(left).toContain("backup of the ledger")
    expect(left).not.toContain("mark")
    const bare = ["protect", path.join(MODELS, "digits-mlp.onnx"), "--no-mark", "-o", at("bare.seal")]
    await cliJson([...bare, "--device", "quickstart-device", "--sign", "quickstart", ...workspace])
    const shown = await cli(["verify", at("bare.seal"), ...workspace])
    expect(shown.stdout).toContain("not applied: mark")
  })
})

describe("keys and devices", () => {
  test("private keys are files of their owner alone, in forms other tools read", async () => {
    await cliJson(["keys", "create", "release-9", ...workspace])
    await cliJson(["device", "add", "press-09", "--software", ...workspace])
    for (const file of ["keys/signing/release-9.pem", "keys/device/press-09.txt"]) {
      expect(statSync(path.join(folder, "workspace", file)).mode & 0o777).toBe(0o600)
    }
    expect(readFileSync(at("workspace/keys/signing/release-9.pem"), "utf8")).toMatch(
      /^-----BEGIN PRIVATE KEY-----/,
    )
    expect(readFileSync(at("workspace/keys/device/press-09.txt"), "utf8")).toMatch(
      /^# public key: age1\S+\nAGE-SECRET-KEY-1\S+\n$/,
    )
  })

  test("no private key appears in any output", async () => {
    const secret = readFileSync(at("workspace/keys/device/press-09.txt"), "utf8").split("\n")[1] ?? ""
    for (const command of [
      ["keys", "show", "press-09"],
      ["keys", "list"],
      ["device", "show", "press-09"],
      ["device", "list"],
    ]) {
      const { stdout, stderr } = await cli([...command, "--json", ...workspace])
      expect(stdout + stderr).not.toContain(secret)
    }
  })

  test("removing a device removes its private key", async () => {
    await cliJson(["device", "remove", "press-09", ...workspace])
    expect(existsSync(at("workspace/keys/device/press-09.txt"))).toBe(false)
    expect(await cliRefusal(["device", "show", "press-09", ...workspace])).toMatchObject({
      code: "DEVICE_NOT_FOUND",
      status: 5,
    })
  })

  test("exactly one way to a device's key must be given", async () => {
    expect(await cliRefusal(["device", "add", "x", ...workspace])).toMatchObject({ code: "USAGE" })
    expect(await cliRefusal(["device", "add", "x", "--software", "--key", ...workspace])).toMatchObject({
      code: "USAGE",
    })
  })
})

describe("inspect", () => {
  test("tells a model from a package by content", async () => {
    const model = await cliJson<Summary>([
      "inspect",
      path.join(MODELS, "fashion-cnn-external.onnx"),
      ...workspace,
    ])
    expect(model).toMatchObject({
      kind: "model",
      parameters: 95274,
      inputs: [{ name: "input", type: "float", shape: ["batch", 1, 28, 28] }],
      externalFiles: [{ name: "fashion-cnn-external.bin", bytes: 377088 }],
    })
    const sealed = await cliJson<Summary>(["inspect", at("quick/fashion-cnn.seal"), ...workspace])
    expect(sealed).toMatchObject({
      kind: "package",
      packages: [{ recipients: ["X25519"] }],
      grants: [{ recipients: ["X25519"] }],
    })
  })
})

describe("verify", () => {
  test("says what the grant allows the device it is asked for", async () => {
    const shown = await cli([
      "verify",
      at("quick/fashion-cnn.seal"),
      "--device",
      "quickstart-device",
      ...workspace,
    ])
    expect(shown.stdout).toMatch(
      /^allows quickstart-device: minimumRuntime R0, requiredAssurance software, /m,
    )
  })

  test("ends with status 3 when it refuses, and prints every check", async () => {
    const bytes = readFileSync(at("quick/fashion-cnn.seal"))
    bytes[100_000] = (bytes[100_000] ?? 0) ^ 1
    writeFileSync(at("flipped.seal"), bytes)
    const { status, stdout } = await cli([
      "verify",
      at("flipped.seal"),
      "--device",
      "quickstart-device",
      "--json",
      ...workspace,
    ])
    expect(status).toBe(3)
    const verdict = JSON.parse(stdout) as Verdict
    expect(verdict.verdict).toBe("refused")
    expect(verdict.policy).toBeNull()
    expect(verdict.checks.map(({ id, result }) => `${id} ${result}`)).toEqual([
      "container passed",
      "signatures passed",
      "headers passed",
      "grant passed",
      "digests failed",
      "payload skipped",
      "model skipped",
    ])
  })
})

describe("run and validate", () => {
  beforeAll(async () => {
    await cliJson(["device", "add", "press-07", "--software", ...workspace])
    for (const model of [
      "mnist-ms",
      "wine-linear",
      "diabetes-mlp",
      "silero_vad_16k_op15",
      "fashion-resnet-fp16",
      "cancer-forest",
    ]) {
      await cliJson([
        "protect",
        path.join(MODELS, `${model}.onnx`),
        "--no-mark",
        "--device",
        "press-07",
        "--sign",
        "release-9",
        "-o",
        at(`${model}.seal`),
        ...workspace,
      ])
    }
  })

  // Accuracies from test/models/manifest.json, which were measured with another tool chain.
  test.each([
    ["mnist-ms", "mnist", ["--normalise", "0,1"], "top-1", 0.989],
    ["wine-linear", "wine", [], "top-1", 0.9333],
    ["cancer-forest", "cancer", [], "top-1", 0.96],
    ["diabetes-mlp", "diabetes", [], "r2", 0.5003],
    ["fashion-resnet-fp16", "fashion", ["--normalise", "0.2860,0.3530"], "top-1", 0.9175],
  ])("validate finds the known quality of %s", async (model, data, options, kind, score) => {
    const { validation } = await cliJson<Validated>([
      "validate",
      at(`${model}.seal`),
      ...["--device", "press-07", "--model", path.join(MODELS, `${model}.onnx`)],
      ...["--data", path.join(DATA, `${data}-eval-x.npy`), "--labels", path.join(DATA, `${data}-eval-y.npy`)],
      ...["--report", at(`${model}-report`), ...options, ...workspace],
    ])
    expect(validation.equality.identicalRows).toBe(validation.equality.rows)
    expect(validation.accuracy?.kind).toBe(kind)
    expect(validation.accuracy?.sealed).toBeCloseTo(score, 3)
    expect(validation.accuracy?.plain).toBe(validation.accuracy?.sealed)
    expect(validation.peakMemoryBytes.sealed).toBeGreaterThan(10_000_000)
  })

  test("run feeds a model with several inputs by name", async () => {
    const write = (name: string, dtype: "float32" | "int64", shape: number[], data: ArrayBufferView) => {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      writeFileSync(at(name), Buffer.concat([writeNpyHeader(dtype, shape), bytes]))
      return at(name)
    }
    const inputs = [
      `input=${write("audio.npy", "float32", [1, 576], new Float32Array(576))}`,
      `state=${write("state.npy", "float32", [2, 1, 128], new Float32Array(256))}`,
      `sr=${write("sr.npy", "int64", [], BigInt64Array.of(16000n))}`,
    ]
    const args = ["run", at("silero_vad_16k_op15.seal"), "--device", "press-07", ...workspace]
    const ran = await cliJson<Ran>([...args, "--input", ...inputs, "--output", at("speech.npy")])
    expect(ran.outputs).toMatchObject([
      { name: "output", type: "float32", shape: [1, 1] },
      { name: "stateN", shape: [2, 1, 128] },
    ])
    const source = sourceOf(readFileSync(at("speech.npy")))
    const rows = await readNpyRows(source, await readNpyHeader(source), 0, 1)
    expect(Number(rows.data[0])).toBeLessThan(0.1) // silence is not speech
    expect(await cliRefusal([...args, "--input", ...inputs.slice(1)])).toMatchObject({
      code: "INPUT_MISMATCH",
      status: 4,
    })
  })

  test.each<[string, string[], string]>([
    ["data of another shape", ["--input", path.join(DATA, "digits-eval-x.npy")], "INPUT_MISMATCH"],
    [
      "a batch the model does not take",
      ["--input", path.join(DATA, "mnist-eval-x.npy"), "--batch", "7"],
      "INPUT_MISMATCH",
    ],
    ["data that is not an array", ["--input", path.join(MODELS, "mnist-ms.onnx")], "NPY_MALFORMED"],
    [
      "an output the model does not have",
      ["--input", path.join(DATA, "mnist-eval-x.npy"), "--output", at("o.npy"), "--output-name", "x"],
      "INPUT_MISMATCH",
    ],
    [
      "nonsense to normalise with",
      ["--input", path.join(DATA, "mnist-eval-x.npy"), "--normalise", "1"],
      "USAGE",
    ],
  ])("run refuses %s", async (_name, args, code) => {
    expect(
      await cliRefusal(["run", at("mnist-ms.seal"), "--device", "press-07", ...args, ...workspace]),
    ).toMatchObject({ code })
    expect(existsSync(at("o.npy"))).toBe(false)
  })

  test("validate refuses labels for other rows and leaves no report", async () => {
    const refusal = await cliRefusal([
      "validate",
      at("mnist-ms.seal"),
      ...[
        "--device",
        "press-07",
        "--model",
        path.join(MODELS, "mnist-ms.onnx"),
        "--data",
        path.join(DATA, "mnist-eval-x.npy"),
      ],
      ...["--labels", path.join(DATA, "wine-eval-y.npy"), "--report", at("no-report"), ...workspace],
    ])
    expect(refusal.code).toBe("INPUT_MISMATCH")
    expect(readdirSync(at("no-report"))).toEqual([])
  })
})

test("doctor knows this computer", async () => {
  const report = await cliJson<{
    readonly checks: readonly { readonly id: string; readonly result: string }[]
  }>(["doctor", ...workspace])
  for (const id of ["node", "cipher", "native", "inference", "workspace"]) {
    expect(report.checks.find((check) => check.id === id)?.result).toBe("ok")
  }
})
