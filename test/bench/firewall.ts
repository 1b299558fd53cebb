/**
 * What the inference firewall costs: eight clients of a served runtime, each through its socket, token, checks, budget,
 * extraction watch and audit record, beside eight callers of an equal runtime with nothing in between.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import type { Served } from "../../main/contract/schema/serving.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { ServingConnection } from "../../main/platform/serving/socket-client.ts"
import type { Tensor } from "../../main/services/ports.ts"
import { loadSealedModel } from "../../main/services/sealed-model.ts"
import { DATA, MODELS, ROOT } from "../support/workspace.ts"
import { median, type Bench } from "./bench.ts"

const CLIENTS = 8
const ROUNDS = 15
const CALLS = 4
const ROWS = 32
const PIXELS = 784
const POLICY = {
  firewall: { lifetimeRows: 1_000_000_000, rowsPerCall: ROWS, output: { kind: "round", digits: 4 } },
}

export const firewallBench: Bench = {
  name: "firewall",
  async run(report) {
    const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-bench-"))
    const desk = new CommandLine(folder)
    const seal = path.join(folder, "model.seal")
    const policy = path.join(folder, "policy.json")
    writeFileSync(policy, JSON.stringify(POLICY))
    const model = path.join(MODELS, "fashion-resnet.onnx")
    const names = Array.from({ length: CLIENTS }, (_, index) => `client-${index}`)
    desk.run("keys", "create", "release-1")
    desk.run("device", "add", "press-07", "--software")
    desk.run("protect", model, "--no-mark", "--device", "press-07", "--policy", policy, "-o", seal)
    const started = desk.run(
      "runtime",
      "start",
      seal,
      "--device",
      "press-07",
      "--detach",
      "--client",
      ...names,
    )
    const served = JSON.parse(started) as Served // the document `runtime start --json` prints
    const { ports, close } = localPorts(desk.workspace)
    const clients: ServingConnection[] = []
    try {
      const request = { file: ports.files.refer(seal), device: "press-07", trust: null }
      const never = new AbortController().signal
      const { runtime } = await loadSealedModel(ports, request, served.level.reached, never)
      for (const name of names) clients.push(await connect(served, name))
      const seconds = { direct: [] as number[], served: [] as number[] }
      const direct = names.map(() => async (rows: Tensor) => runtime.infer([rows], never))
      const guarded = clients.map((client) => async (rows: Tensor) => client.infer([rows]))
      for (let round = -2; round < ROUNDS; round += 1) {
        const lanes = [
          { into: seconds.direct, callers: direct },
          { into: seconds.served, callers: guarded },
        ]
        for (const { into, callers } of round % 2 === 0 ? lanes : lanes.toReversed()) {
          const taken = await timeCalls(callers, round)
          if (round >= 0) into.push(taken)
        }
      }
      await runtime.close()
      const rows = CLIENTS * CALLS * ROWS
      const [ours, peerValue] = [rows / median(seconds.served), rows / median(seconds.direct)]
      report({
        name: `throughput through the firewall, ${CLIENTS} clients, fashion-resnet batch ${ROWS}, ${served.level.reached}`,
        ours,
        unit: "rows/s",
        peer: "the same runtime called directly",
        peerValue,
        must: "at least 0.95 of direct",
        met: ours >= 0.95 * peerValue,
        how: `${ROUNDS} rounds of ${CLIENTS} × ${CALLS} calls at once, the two taking turns; outputs rounded, watch on`,
      })
    } finally {
      for (const client of clients) client.close()
      desk.run("runtime", "stop", served.id)
      await close()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

/** Seconds until every caller has had all its answers. */
async function timeCalls(
  callers: readonly ((rows: Tensor) => Promise<unknown>)[],
  round: number,
): Promise<number> {
  const startedAt = performance.now()
  await Promise.all(
    callers.map(async (call, lane) => {
      for (let index = 0; index < CALLS; index += 1) await call(rowsAt(round + lane * CALLS + index))
    }),
  )
  return (performance.now() - startedAt) / 1000
}

const images = readFileSync(path.join(DATA, "fashion-eval-x.npy")).subarray(128)

/** Batch `index` of real images: the watch would find invented ones unnatural. */
function rowsAt(index: number): Tensor {
  const batches = Math.floor(images.length / PIXELS / ROWS)
  const from = (((index % batches) + batches) % batches) * ROWS * PIXELS
  const values = Float32Array.from(images.subarray(from, from + ROWS * PIXELS), (value) => value / 127.5 - 1)
  return { name: "input", type: "float32", shape: [ROWS, 1, 28, 28], data: new Uint8Array(values.buffer) }
}

async function connect(served: Served, client: string): Promise<ServingConnection> {
  const token = Buffer.from(readFileSync(path.join(served.tokens, `${client}.token`), "latin1").trim(), "hex")
  return ServingConnection.open(served.socket, token)
}

class CommandLine {
  readonly workspace: string

  constructor(folder: string) {
    this.workspace = path.join(folder, "workspace")
  }

  /** What the command prints with --json. Throws when it fails. */
  run(...args: readonly string[]): string {
    const bin = path.join(ROOT, "main", "cli", "bin.mjs")
    const all = [bin, ...args, "--json", "--workspace", this.workspace]
    const { status, stdout } = spawnSync(process.execPath, all, { encoding: "utf8" })
    if (status !== 0) throw new Error(`sealwright ${args.join(" ")} failed: ${stdout}`)
    return stdout
  }
}
