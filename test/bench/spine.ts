/** The whole job as its users see it: the first run, a large model, and what sealing costs at inference. */
import { mkdtempSync, rmSync, statSync, truncateSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { followJob } from "../../main/contract/client.ts"
import { TRANSPORTS } from "../support/engines.ts"
import { writeLargeModel } from "../support/large-model.ts"
import { DATA, MODELS } from "../support/workspace.ts"
import type { Bench, Figure } from "./bench.ts"
import { measureCli } from "./measured.ts"

export const spineBench: Bench = {
  name: "spine",
  async run(report) {
    const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-bench-"))
    try {
      report(firstRun(folder))
      for (const figure of largeModel(folder)) report(figure)
      report(await sealedInference(folder))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

function firstRun(folder: string): Figure {
  const { seconds } = measureCli(folder, path.join(folder, "first"), [
    "quickstart",
    "--out",
    path.join(folder, "report"),
  ])
  return {
    name: "quickstart after install",
    ours: seconds,
    unit: "s",
    peer: null,
    peerValue: null,
    must: "under 60 s",
    met: seconds < 60,
    how: "one run in a fresh workspace: protect, verify, run, validate, report",
  }
}

function largeModel(folder: string): readonly Figure[] {
  const workspace = path.join(folder, "workspace")
  const model = path.join(folder, "large.onnx")
  const { dataPath } = writeLargeModel(model, { megabytes: 500, external: true })
  if (dataPath === null) throw new Error("the model has no external data")
  const modelBytes = statSync(model).size + statSync(dataPath).size
  measureCli(folder, workspace, ["device", "add", "press-07", "--software"])
  const protect = (from: string, to: string) =>
    measureCli(folder, workspace, [
      "protect",
      from,
      "--device",
      "press-07",
      "--no-mark",
      "-o",
      path.join(folder, to),
      "--force",
    ])
  // The first also makes the signing key. What both read beside the model is code.
  const small = protect(path.join(MODELS, "digits-mlp.onnx"), "small.seal")
  const large = protect(model, "large.seal")
  const times = (large.bytesRead - small.bytesRead) / modelBytes
  return [
    {
      name: "protect 500 MB unmarked: bytes read, in models",
      ours: times,
      unit: "x",
      peer: null,
      peerValue: null,
      must: "once (at most 1.02)",
      met: times <= 1.02,
      how: "rchar of /proc/self/io of all processes, less that of protecting a model of 7 KB",
    },
    {
      name: "protect 500 MB unmarked: peak resident size of all processes",
      ours: large.peakBytes / 1e6,
      unit: "MB",
      peer: null,
      peerValue: null,
      must: "under 400 MB",
      met: large.peakBytes < 400e6,
      how: `VmHWM of ${large.processes} process(es), ${large.seconds.toFixed(2)} s`,
    },
    fourGibibytes(folder, workspace),
  ]
}

/** Memory does not depend on the model: a file of 4 GiB beside a model that names it. */
function fourGibibytes(folder: string, workspace: string): Figure {
  const model = path.join(folder, "huge.onnx")
  const { dataPath } = writeLargeModel(model, { megabytes: 70, width: 4096, external: true })
  if (dataPath === null) throw new Error("the model has no external data")
  // A tail no tensor uses: it is part of the file, so it is protected like the rest. Sparse, to spare the disk.
  truncateSync(dataPath, 4 * 2 ** 30)
  const { peakBytes, seconds } = measureCli(folder, workspace, [
    "protect",
    model,
    "--device",
    "press-07",
    "--no-mark",
    "-o",
    path.join(folder, "huge.seal"),
  ])
  return {
    name: "protect 4 GiB unmarked: peak resident size",
    ours: peakBytes / 1e6,
    unit: "MB",
    peer: null,
    peerValue: null,
    must: "at most 200 MB (aim 120)",
    met: peakBytes <= 200e6,
    how: `VmHWM of the command, ${seconds.toFixed(1)} s`,
  }
}

async function sealedInference(folder: string): Promise<Figure> {
  const transport = TRANSPORTS[0]
  if (transport === undefined) throw new Error("no transport")
  const { engine, close } = transport.open(path.join(folder, "workspace-2"))
  try {
    const refer = async (name: string) => engine.files.refer({ path: name })
    await engine.keys.create({ name: "release-1", purpose: "signing" })
    await engine.devices.add({ name: "press-07", key: { kind: "software" } })
    const model = await refer(path.join(MODELS, "fashion-resnet.onnx"))
    const seal = await refer(path.join(folder, "resnet.seal"))
    await followJob(
      await engine.protect({
        model,
        devices: ["press-07"],
        signingKey: "release-1",
        escrow: [],
        mode: "individual",
        output: { file: seal, replace: true },
      }),
    )
    const { validation } = await followJob(
      await engine.validate({
        file: seal,
        device: "press-07",
        trust: null,
        model,
        data: await refer(path.join(DATA, "fashion-eval-x.npy")),
        labels: null,
        normalise: { mean: 0.286, std: 0.353 },
        batch: 32,
        report: { file: await refer(path.join(folder, "validation")), replace: true },
      }),
    )
    const { plain, sealed, batches } = validation.latencyMs
    return {
      name: "inference sealed against plain, p50, fashion-resnet batch 32",
      ours: sealed.p50,
      unit: "ms",
      peer: "plain runtime process",
      peerValue: plain.p50,
      must: null,
      met: null,
      how: `validate, ${batches} batches, plain and sealed alternating; ${validation.equality.identicalRows} of ${validation.equality.rows} rows bit-equal`,
    }
  } finally {
    await close()
  }
}
