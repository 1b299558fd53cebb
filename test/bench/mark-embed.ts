/** Embedding the mark: how fast, what it costs the fashion models on data they were not tuned on, and how small overlays are. */
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { followJob } from "../../main/contract/client.ts"
import { localEngine } from "../../main/contract/server.ts"
import type { Protected } from "../../main/contract/schema/protect.ts"
import { TensorEmbedder, type Carrier, type Edition } from "../../main/core/watermark/embed.ts"
import { portableKernel, type MarkKernel } from "../../main/core/watermark/kernel.ts"
import { TensorStreams } from "../../main/core/watermark/streams.ts"
import { markKernel } from "../../main/platform/mark/kernel.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { createEngine } from "../../main/services/engine.ts"
import { writeLargeModel } from "../support/large-model.ts"
import { DATA, MODELS } from "../support/workspace.ts"
import { median, type Bench, type Figure } from "./bench.ts"

type Report = (figure: Figure) => void

const RUNS = 5
const WEIGHTS = 4 << 20
const PIECE = 1 << 20
const ROW_COUNT = 1024
/** Devices of the registry figure, and those really issued: a grant's size does not depend on how many there are. */
const FLEET = 1000
const ISSUED = 4

/** How fast, and what a fleet of a large model costs. */
export const markEmbedBench: Bench = {
  name: "mark-embed",
  async run(report) {
    throughput(report)
    await atDesk(async (desk) => registry(desk, report))
  },
}

/** What the mark costs every fashion model, in both modes. */
export const markCostBench: Bench = {
  name: "mark-cost",
  async run(report) {
    await atDesk(async (desk) => {
      for (const model of FASHION)
        for (const mode of ["individual", "fleet"] as const) await fidelity(desk, model, mode, report)
    })
  },
}

const FASHION = ["fashion-cnn", "fashion-resnet", "fashion-mlp", "fashion-vit", "fashion-cnn-int8-qdq"]

async function atDesk(work: (desk: Desk) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "mark-embed-"))
  const { ports, close } = localPorts(path.join(folder, "workspace"))
  const engine = localEngine(createEngine(ports))
  const desk: Desk = { folder, engine, refer: async (file) => engine.files.refer({ path: file }) }
  try {
    await engine.keys.create({ name: "bench", purpose: "signing" })
    for (let n = 1; n <= ISSUED; n += 1)
      await engine.devices.add({ name: `d${n}`, key: { kind: "software" } })
    await work(desk)
  } finally {
    await close()
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Desk {
  readonly folder: string
  readonly engine: ReturnType<typeof localEngine>
  readonly refer: (file: string) => ReturnType<ReturnType<typeof localEngine>["files"]["refer"]>
}

/** The inner work alone, one thread: keystreams, code, sums. */
function throughput(report: Report): void {
  for (const dataType of ["FLOAT", "FLOAT16", "BFLOAT16", "INT8"] as const)
    for (const edition of EDITIONS) {
      const [native, portable] = [markKernel(), portableKernel].map((kernel) =>
        rateOf(dataType, edition, kernel),
      )
      const ours = native ?? 0
      const what = edition.kind === "base" ? "fleet payload" : edition.kind
      report({
        name: `embed throughput, ${dataType.toLowerCase()}, ${what}`,
        ours,
        unit: "MB/s",
        peer: "the same loops in JavaScript",
        peerValue: portable ?? 0,
        must: dataType === "FLOAT" ? "at least 50 MB/s (aim 300)" : null,
        met: dataType === "FLOAT" ? ours >= 50 : null,
        how: `${WEIGHTS} weights in pieces of 1 MiB on one thread, ${markKernel().name} loops, its processor time, median of ${RUNS}`,
      })
    }
}

const EDITIONS: readonly Edition[] = [
  { kind: "individual", word: { device: 1, attempt: 0 } },
  { kind: "base" },
  { kind: "fleet", word: { device: 1, attempt: 0 } },
]
const WIDTHS = { FLOAT: 4, FLOAT16: 2, BFLOAT16: 2, INT8: 1 } as const

/** MB of stored weights a second. */
function rateOf(dataType: keyof typeof WIDTHS, edition: Edition, kernel: MarkKernel): number {
  const width = WIDTHS[dataType]
  const form = dataType === "INT8" ? "quantised" : "float"
  const tensor = {
    hash: "",
    places: [],
    dims: [ROW_COUNT, WEIGHTS / ROW_COUNT],
    rowAxis: 0,
    rows: ROW_COUNT,
    fanIn: WEIGHTS / ROW_COUNT,
    elementCount: WEIGHTS,
    form,
    dataType,
    sigmas: new Float32Array(ROW_COUNT).fill(0.05),
    factors: new Float64Array(ROW_COUNT).fill(form === "float" ? 1 : 0.001),
    zeroPoints: new Int32Array(ROW_COUNT),
    live: WEIGHTS,
  } as const
  // S and decoys as they are in a model of this size.
  const parameters = {
    form,
    rowAxis: 0,
    strength: 10_486,
    codeStrength: 52_429,
    subset: 512,
    decoys: 64,
  } as const
  const carrier: Carrier = { tensor, parameters, streams: new TensorStreams(new Uint8Array(32).fill(3)) }
  const embedder = new TensorEmbedder(carrier, edition, kernel)
  const seconds: number[] = []
  for (let run = 0; run < RUNS; run += 1) {
    // Small numbers in each of the types.
    const bytes = new Uint8Array(WEIGHTS * width).fill(0x2b)
    const { user } = process.threadCpuUsage()
    for (let at = 0; at < bytes.length; at += PIECE)
      embedder.apply(at / width, bytes.subarray(at, at + PIECE))
    seconds.push((process.threadCpuUsage().user - user) / 1e6)
  }
  carrier.streams.close()
  return (WEIGHTS * width) / median(seconds) / 1e6
}

/** Protects with calibration, opens in a sealed runtime, and compares on the 2,000 images of fashion-eval. */
async function fidelity(
  desk: Desk,
  model: string,
  mode: "individual" | "fleet",
  report: Report,
): Promise<void> {
  const { engine, refer, folder } = desk
  const seal = path.join(folder, `${model}-${mode}.seal`)
  const normalise = { mean: 0.286, std: 0.353 }
  const modelFile = await refer(path.join(MODELS, `${model}.onnx`))
  const made = await followJob(
    await engine.protect({
      model: modelFile,
      devices: ["d1"],
      signingKey: "bench",
      escrow: [],
      mode,
      mark: {
        calibration: await refer(path.join(DATA, "fashion-calib-x.npy")),
        labels: await refer(path.join(DATA, "fashion-calib-y.npy")),
        normalise,
        budget: null,
      },
      output: { file: await refer(seal), replace: true },
    }),
  )
  const { validation } = await followJob(
    await engine.validate({
      file: await refer(seal),
      device: "d1",
      trust: null,
      model: modelFile,
      data: await refer(path.join(DATA, "fashion-eval-x.npy")),
      labels: await refer(path.join(DATA, "fashion-eval-y.npy")),
      normalise,
      batch: 250,
      report: { file: await refer(path.join(folder, `report-${model}-${mode}`)), replace: true },
    }),
  )
  const { accuracy } = validation
  if (accuracy === null) throw new Error("fashion models classify")
  const how = `${model}, ${mode} mode, 2,000 images of fashion-eval, strength found on 250 of fashion-calib`
  const points = Math.abs(accuracy.sealed - accuracy.plain) * 100
  const common = { peer: null, peerValue: null, how }
  report({
    ...common,
    name: `accuracy change, ${model}, ${mode}`,
    ours: points,
    unit: "points",
    must: "at most 0.3 (aim 0.1)",
    met: points <= 0.3 + 1e-9,
  })
  report({
    ...common,
    name: `top-1 agreement, ${model}, ${mode}`,
    ours: accuracy.agreement * 100,
    unit: "%",
    must: "at least 99.0 (aim 99.5)",
    met: accuracy.agreement >= 0.99,
  })
  report({
    ...common,
    name: `output change (RMS over spread, held-out), ${model}, ${mode}`,
    ours: (made.mark?.measured?.outputChange ?? Number.NaN) * 100,
    unit: "%",
    must: "at most 2",
    met: (made.mark?.measured?.outputChange ?? 1) <= 0.02,
  })
  report({
    ...common,
    name: `expected device score after noise of 0.1 sigma, ${model}, ${mode}`,
    ours: made.mark?.deviceScore ?? Number.NaN,
    unit: "z",
    must: null,
    met: null,
  })
}

/** A model of 25 M weights in fleet mode: what one device adds, and what a thousand make of the registry. */
async function registry(desk: Desk, report: Report): Promise<void> {
  const { engine, refer, folder } = desk
  const model = path.join(folder, "large.onnx")
  writeLargeModel(model, { megabytes: 100 })
  const protect = async (count: number): Promise<Protected> =>
    followJob(
      await engine.protect({
        model: await refer(model),
        devices: Array.from({ length: count }, (_, n) => `d${n + 1}`),
        signingKey: "bench",
        escrow: [],
        mode: "fleet",
        output: { file: await refer(path.join(folder, `large-${count}.seal`)), replace: true },
      }),
    )
  const startedAt = performance.now()
  const one = await protect(1)
  const seconds = (performance.now() - startedAt) / 1000
  const several = await protect(ISSUED)
  const perDevice = (several.bytes - one.bytes) / (ISSUED - 1)
  const payload = one.packages[0]?.payloadBytes ?? Number.NaN
  const ratio = (one.bytes + (FLEET - 1) * perDevice) / payload
  report({
    name: "protect --mode fleet, 100 MB, one device",
    ours: seconds,
    unit: "s",
    peer: null,
    peerValue: null,
    must: null,
    met: null,
    how: `measuring, marking, encrypting and hashing on ${os.availableParallelism()} processors; largest resident size ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`,
  })
  const how = `Gemm stack of 100 MB, ${several.mark?.deviceCarriers ?? 0} code carriers; bytes a device adds to the file, from ${ISSUED} devices`
  report({
    name: "one grant of a 25 M-weight fleet, with its manifest and signature",
    ours: perDevice / 1000,
    unit: "kB",
    peer: null,
    peerValue: null,
    must: "at most 400 (aim 100)",
    met: perDevice <= 400_000,
    how,
  })
  report({
    name: "registry bytes of 1,000 devices over bytes of one payload",
    ours: ratio,
    unit: "payloads",
    peer: "individual mode",
    peerValue: FLEET,
    must: "at most 5 (aim 1.5)",
    met: ratio <= 5,
    how: `${how}, extended to ${FLEET}`,
  })
}
