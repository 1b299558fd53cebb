import { execFile } from "node:child_process"
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import path from "node:path"
import { promisify } from "node:util"
import { afterEach, beforeAll, describe, expect, it } from "vitest"
import type { Served } from "../../main/contract/schema/serving.ts"
import { ServingConnection } from "../../main/platform/serving/socket-client.ts"
import type { Tensor } from "../../main/services/ports.ts"
import { cli, cliJson, cliRefusal, DATA, MODELS, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const at = (name: string) => path.join(folder, name)
const workspace = ["--workspace", at("ws")]
const images = readFileSync(path.join(DATA, "fashion-eval-x.npy")).subarray(128)
const PIXELS = 784

beforeAll(async () => {
  await cliJson(["keys", "create", "release-1", ...workspace])
  await cliJson(["device", "add", "press-07", "--software", ...workspace])
})

afterEach(async () => {
  for (const { id } of await cliJson<Served[]>(["runtime", "status", ...workspace]))
    await cliJson(["runtime", "stop", id, ...workspace])
})

describe("a served runtime", () => {
  it("answers clients with a token as the policy in the grant says, and shows what they did", async () => {
    const served = await serve({ firewall: { output: { kind: "label" }, lifetimeRows: 5, rowsPerCall: 3 } }, [
      "a",
      "b",
    ])
    const client = await connect(served, "a")
    const [output] = await client.infer([batch(0, 3)])
    const scores = new Float32Array(output?.data.slice().buffer ?? new ArrayBuffer(0))
    for (let row = 0; row < 3; row += 1)
      expect([...scores.subarray(row * 10, row * 10 + 10)].toSorted((a, b) => a - b)).toEqual([
        ...Array<number>(9).fill(0),
        1,
      ])
    await expect(client.infer([batch(0, 4)])).toFailWithCode("INPUT_REFUSED")
    await expect((await connect(served, "b")).infer([batch(3, 3)])).toFailWithCode("BUDGET_SPENT")
    await client.infer([batch(3, 2)])
    const [status] = await cliJson<Served[]>(["runtime", "status", ...workspace])
    expect(status).toMatchObject({
      rowsUsed: 5,
      clients: [
        { client: "a", calls: 2, rows: 5, refused: 1 },
        { client: "b", refused: 1 },
      ],
    })
    expect(status?.heap?.isSecret).toBe(status?.level.reached === "R2")
    expect(status?.heap?.liveBytes).toBeGreaterThan(statSync(path.join(MODELS, "fashion-cnn.onnx")).size)
    client.close()
  })

  it("does not give rows back when it is started again", async () => {
    const policy = { firewall: { lifetimeRows: 40 } }
    const served = await serve(policy, ["a"])
    const client = await connect(served, "a")
    await client.infer([batch(0, 30)])
    client.close()
    process.kill(served.pid, "SIGKILL")
    await ended(served.pid)
    const again = await start(["a"])
    expect(again.rowsUsed).toBeGreaterThanOrEqual(30)
    await expect((await connect(again, "a")).infer([batch(0, 11)])).toFailWithCode("BUDGET_SPENT")
  })

  it("counts alone under a grant with a budget", async () => {
    await serve({ firewall: { lifetimeRows: 40 } }, ["a"])
    const refusal = await cliRefusal([
      "runtime",
      "start",
      at("model.seal"),
      "--device",
      "press-07",
      "--detach",
      ...workspace,
    ])
    expect(refusal).toMatchObject({ code: "RUNTIME_BUSY", status: 9 })
  })

  it("refuses wrong tokens, anything before a token, and what a token is not for", async () => {
    const served = await serve({}, ["a"])
    await expect(ServingConnection.open(served.socket, Buffer.alloc(32, 1))).toFailWithCode("CLIENT_UNKNOWN")
    await expect(ServingConnection.open(served.socket, Buffer.alloc(31, 1))).toFailWithCode("CLIENT_UNKNOWN")
    const client = await connect(served, "a")
    await expect(client.ask({ kind: "stop" })).toFailWithCode("CLIENT_UNKNOWN")
    await expect(client.ask({ kind: "status" })).toFailWithCode("CLIENT_UNKNOWN")
    client.close()
  })

  it("answers its own user and root only, whatever the file permissions say", async () => {
    const served = await serve({}, ["a"])
    const place = path.dirname(served.socket)
    expect(statSync(served.socket).mode & 0o777).toBe(0o600)
    expect(statSync(place).mode & 0o777).toBe(0o700)
    for (const each of [folder, at("ws"), path.dirname(place), place]) chmodSync(each, 0o755)
    chmodSync(served.socket, 0o777)
    const script = `require("node:net").connect(process.argv[1]).on("data", (bytes) => process.stdout.write(bytes))`
    const { stdout } = await promisify(execFile)("setpriv", [
      ...["--reuid", "65534", "--regid", "65534", "--clear-groups"],
      ...[process.execPath, "-e", script, served.socket],
    ])
    expect(stdout).toContain("PEER_REFUSED")
  })

  it("leaves nothing behind when it is stopped, and is forgotten when it was killed", async () => {
    const served = await serve({}, ["a"])
    expect(existsSync(served.socket)).toBe(true)
    await cliJson(["runtime", "stop", served.id, ...workspace])
    expect(readdirSync(at("ws/runtimes"))).toEqual([])
    expect(await cliRefusal(["runtime", "stop", served.id, ...workspace])).toMatchObject({
      code: "RUNTIME_NOT_FOUND",
      status: 5,
    })
    const killed = await start(["a"])
    process.kill(killed.pid, "SIGKILL")
    await ended(killed.pid)
    expect(await cliJson(["runtime", "status", ...workspace])).toEqual([])
    expect(readdirSync(at("ws/runtimes"))).toEqual([])
  })

  it("stops with Ctrl-C when it was not detached", async () => {
    await protect({})
    const args = ["runtime", "start", at("model.seal"), "--device", "press-07", ...workspace, "--json"]
    const watching = cli(args, {
      onStdout: (_text, kill) => kill("SIGINT"),
    })
    const { status, stdout } = await watching
    expect(status).toBe(0)
    const served = JSON.parse(stdout) as Served // the document the command prints
    await ended(served.pid)
    expect(await cliJson(["runtime", "status", ...workspace])).toEqual([])
  })
})

describe("run", () => {
  it("is bound by the same policy and stands in the same audit log", async () => {
    await protect({ firewall: { lifetimeRows: 10, ranges: { input: { min: -1, max: 1 } } } })
    const input = at("x.npy")
    writeFileSync(input, npy(8))
    const run = ["run", at("model.seal"), "--device", "press-07", "--input", input, ...workspace]
    expect(await cliRefusal(run)).toMatchObject({ code: "INPUT_REFUSED" })
    await cliJson([...run, "--normalise", "0.5,0.5"])
    expect(await cliRefusal([...run, "--normalise", "0.5,0.5"])).toMatchObject({
      code: "BUDGET_SPENT",
      status: 3,
    })
    const lines = readFileSync(at("ws/audit.jsonl"), "utf8").trim().split("\n")
    expect(lines.slice(-3).map((line) => (JSON.parse(line) as { readonly code: unknown }).code)).toEqual([
      "INPUT_REFUSED",
      null,
      "BUDGET_SPENT",
    ])
  })

  it("is not even granted to a device whose key is not where the policy wants it", async () => {
    writeFileSync(at("demanding.json"), JSON.stringify({ requiredAssurance: "hardware" }))
    const refusal = await cliRefusal([
      ...[
        "protect",
        path.join(MODELS, "fashion-cnn.onnx"),
        "--device",
        "press-07",
        "--policy",
        at("demanding.json"),
      ],
      ...["--no-mark", "-o", at("never.seal"), ...workspace],
    ])
    expect(refusal).toMatchObject({ code: "ASSURANCE_TOO_LOW", status: 3 })
    expect(existsSync(at("never.seal"))).toBe(false)
  })

  it.each([
    ["not JSON", "{"],
    ["an unknown field", `{"firewal": {}}`],
    ["a value outside its range", `{"firewall": {"watch": {"naturalness": 2}}}`],
  ])("policies with %s are refused before anything is written", async (_name, text) => {
    writeFileSync(at("bad.json"), text)
    const refusal = await cliRefusal([
      ...[
        "protect",
        path.join(MODELS, "fashion-cnn.onnx"),
        "--no-mark",
        "--device",
        "press-07",
        "--policy",
        at("bad.json"),
      ],
      ...["-o", at("never.seal"), ...workspace],
    ])
    expect(["POLICY_MALFORMED", "JSON_MALFORMED"]).toContain(refusal.code)
    expect(refusal.status).toBe(4)
    expect(existsSync(at("never.seal"))).toBe(false)
  })
})

async function protect(policy: object): Promise<void> {
  writeFileSync(at("policy.json"), JSON.stringify(policy))
  await cliJson([
    ...[
      "protect",
      path.join(MODELS, "fashion-cnn.onnx"),
      "--no-mark",
      "--device",
      "press-07",
      "--policy",
      at("policy.json"),
    ],
    ...["-o", at("model.seal"), "--force", ...workspace],
  ])
}

async function serve(policy: object, clients: readonly string[]): Promise<Served> {
  await protect(policy)
  return start(clients)
}

async function start(clients: readonly string[]): Promise<Served> {
  const names = ["--client", ...clients]
  return cliJson([
    "runtime",
    "start",
    at("model.seal"),
    "--device",
    "press-07",
    "--detach",
    ...names,
    ...workspace,
  ])
}

async function connect(served: Served, client: string): Promise<ServingConnection> {
  const token = Buffer.from(readFileSync(path.join(served.tokens, `${client}.token`), "latin1").trim(), "hex")
  return ServingConnection.open(served.socket, token)
}

function batch(from: number, rows: number): Tensor {
  const values = Float32Array.from(
    images.subarray(from * PIXELS, (from + rows) * PIXELS),
    (v) => v / 127.5 - 1,
  )
  return { name: "input", type: "float32", shape: [rows, 1, 28, 28], data: new Uint8Array(values.buffer) }
}

/** The first rows of the evaluation images, as a file of their own. */
function npy(rows: number): Uint8Array {
  const header = `{'descr': '|u1', 'fortran_order': False, 'shape': (${rows}, 28, 28), }`.padEnd(117) + "\n"
  return Buffer.concat([
    Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, 118, 0]),
    Buffer.from(header),
    images.subarray(0, rows * PIXELS),
  ])
}

async function ended(pid: number): Promise<void> {
  await expect.poll(() => isRunning(pid), { timeout: 10_000 }).toBe(false)
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A process nobody waited for still has its number.
    return !readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ")
  } catch {
    return false
  }
}
