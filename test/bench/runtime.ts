/**
 * What sealing costs: inference and loading of the same model in a plain Node process with onnxruntime, and in the sealed
 * runtime at R1 and R2, all alive at once and called in turn, so that whatever else the machine does hits all alike.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { createInterface } from "node:readline"
import type { RuntimeLevel } from "../../main/contract/schema/runtime.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { protect } from "../../main/services/protect.ts"
import type { RuntimeProcess, Tensor } from "../../main/services/ports.ts"
import { addDevice } from "../../main/services/devices.ts"
import { loadSealedModel } from "../../main/services/sealed-model.ts"
import { writeLargeModel } from "../support/large-model.ts"
import { MODELS, ROOT } from "../support/workspace.ts"
import { median, type Bench, type Figure } from "./bench.ts"

const never = new AbortController().signal

interface Subject {
  readonly name: string
  readonly model: string
  readonly shape: readonly number[]
  readonly calls: number
  /** Calls before the first that counts: a runtime answers for hours, and a small model's call is mostly JavaScript. */
  readonly warmUp: number
}

export const runtimeBench: Bench = {
  name: "runtime",
  async run(report) {
    // As the command line starts a runtime in a checkout; an installed product has compiled sources instead.
    process.env["NODE_COMPILE_CACHE"] ??= path.join(ROOT, "node_modules", ".cache", "sealwright", "code")
    const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-bench-"))
    try {
      const large = path.join(folder, "gemm-200.onnx")
      writeLargeModel(large, { megabytes: 200 })
      const resnet = path.join(MODELS, "fashion-resnet.onnx")
      const cnn = path.join(MODELS, "fashion-cnn.onnx")
      await measureCalls(
        folder,
        { name: "fashion-resnet", model: resnet, shape: [32, 1, 28, 28], calls: 200, warmUp: 20 },
        report,
      )
      await measureCalls(
        folder,
        { name: "Gemm stack 200 MB", model: large, shape: [32, 1024], calls: 100, warmUp: 20 },
        report,
      )
      await measureCalls(
        folder,
        { name: "fashion-cnn", model: cnn, shape: [1, 1, 28, 28], calls: 1000, warmUp: 300 },
        report,
      )
      await measureLoads(
        folder,
        { name: "Gemm stack 200 MB", model: large, shape: [1, 1024], calls: 0, warmUp: 0 },
        report,
      )
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

async function measureCalls(
  folder: string,
  subject: Subject,
  report: (figure: Figure) => void,
): Promise<void> {
  const device = await Device.seal(folder, subject.model)
  const plain = await PlainProcess.start(subject)
  const sealed = await device.start("R2")
  const inputs = inputsFor(sealed, subject)
  const samples = { plain: [] as number[], inside: [] as number[], outside: [] as number[] }
  for (let call = -subject.warmUp; call < subject.calls; call++) {
    // In pairs, the order changing with every pair.
    const callPlain = async () => plain.call()
    const callSealed = async () => {
      const startedAt = performance.now()
      const { sessionMs } = await sealed.infer(inputs, never)
      return { inside: sessionMs, outside: performance.now() - startedAt }
    }
    const first = call % 2 === 0 ? await callPlain() : null
    const timed = await callSealed()
    const ms = first ?? (await callPlain())
    if (call < 0) continue
    samples.plain.push(ms)
    samples.inside.push(timed.inside)
    samples.outside.push(timed.outside)
  }
  await sealed.close()
  plain.end()
  await device.close()
  const how = `batch ${subject.shape[0] ?? 1}, ${subject.calls} calls each, interleaved; time inside the session`
  const p99 = (values: readonly number[]) =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0
  const compare = (name: string, ours: number, peerValue: number, limit: number) =>
    report({
      ...{ name: `${subject.name}: ${name}`, ours, unit: "ms", peer: "plain onnxruntime process", peerValue },
      ...{ must: `ratio ≤ ${limit}`, met: ours / peerValue <= limit, how },
    })
  if (subject.name === "fashion-cnn") {
    const added = median(samples.outside) - median(samples.plain)
    const about = `batch 1, ${subject.calls} calls each, interleaved; round trip to the runtime against time in a plain session`
    report({
      name: "fashion-cnn: added latency a call",
      ours: added,
      unit: "ms",
      peer: null,
      peerValue: null,
      must: "≤ 0.5 ms",
      met: added <= 0.5,
      how: about,
    })
    return
  }
  compare("p50 at R2", median(samples.inside), median(samples.plain), 1.1)
  compare("p99 at R2", p99(samples.inside), p99(samples.plain), 1.25)
}

const LOADS = 5

async function measureLoads(
  folder: string,
  subject: Subject,
  report: (figure: Figure) => void,
): Promise<void> {
  const device = await Device.seal(folder, subject.model)
  const seconds = { plain: [] as number[], R1: [] as number[], R2: [] as number[] }
  let peak = 0
  // Compiled code is left by a runtime at R0; those above it can only read.
  await (await device.start("R0")).close()
  for (let round = 0; round < LOADS; round++) {
    const startedAt = performance.now()
    const plain = await PlainProcess.start(subject)
    await plain.call()
    seconds.plain.push((performance.now() - startedAt) / 1000)
    plain.end()
    for (const level of ["R1", "R2"] as const) {
      const begunAt = performance.now()
      const sealed = await device.start(level)
      await sealed.infer(inputsFor(sealed, subject), never)
      seconds[level].push((performance.now() - begunAt) / 1000)
      if (level === "R2") peak = (await sealed.memory()).peakBytes
      if (level === "R2") await reportUnload(sealed, round, report)
      await sealed.close()
    }
  }
  const small = await Device.seal(folder, path.join(MODELS, "wine-linear.onnx"))
  const bare = await small.start("R2")
  const { peakBytes: bareBytes } = await bare.memory()
  await bare.close()
  await small.close()
  await device.close()
  const how = `${LOADS} of each in turn, from starting the process to the first answer, batch 1; files in the page cache`
  const limits = { R1: 2.5, R2: 6 }
  for (const level of ["R1", "R2"] as const) {
    const [ours, peerValue] = [median(seconds[level]), median(seconds.plain)]
    report({
      ...{
        name: `${subject.name}: load to first inference at ${level}`,
        ours,
        unit: "s",
        peer: "plain process, model from its path",
      },
      ...{ peerValue, must: `ratio ≤ ${limits[level]}`, met: ours / peerValue <= limits[level], how },
    })
  }
  const ratio = (peak - bareBytes) / 200e6
  report({
    ...{
      name: `${subject.name}: peak memory at R2`,
      ours: ratio,
      unit: "× model size",
      peer: null,
      peerValue: null,
    },
    ...{
      must: "≤ 2.5",
      met: ratio <= 2.5,
      how: "largest resident size less that of a runtime with a model of some bytes",
    },
  })
}

async function reportUnload(
  sealed: RuntimeProcess,
  round: number,
  report: (figure: Figure) => void,
): Promise<void> {
  const ms = await sealed.unload()
  if (round > 0) return
  report({
    name: "Gemm stack 200 MB: unload at R2",
    ours: ms,
    unit: "ms",
    peer: null,
    peerValue: null,
    must: "≤ 100 ms",
    met: ms <= 100,
    how: "session ended and every page of it zeroed",
  })
}

/** A desk and a device in one workspace, with one sealed model. */
class Device {
  readonly #ports: ReturnType<typeof localPorts>
  readonly #file: string

  private constructor(ports: ReturnType<typeof localPorts>, file: string) {
    this.#ports = ports
    this.#file = file
  }

  static async seal(folder: string, model: string): Promise<Device> {
    const place = mkdtempSync(path.join(folder, "device-"))
    const local = localPorts(path.join(place, "workspace"))
    const { files, keys } = local.ports
    await keys.create({
      name: "release",
      purpose: "signing",
      algorithm: "P-256",
      place: { provider: "software", passphrase: false },
    })
    await addDevice(local.ports, { name: "device", key: { kind: "software" } })
    const file = path.join(place, "model.seal")
    const request = {
      model: files.refer(model),
      devices: ["device"],
      signingKey: "release",
      escrow: [],
      mode: "individual" as const,
      mark: null,
      policy: null,
    }
    const output = { file: files.refer(file), replace: false }
    await protect(local.ports, { ...request, output }, QUIET)
    return new Device(local, file)
  }

  async start(level: RuntimeLevel): Promise<RuntimeProcess> {
    const { ports } = this.#ports
    const request = { file: ports.files.refer(this.#file), device: "device", trust: null }
    return (await loadSealedModel(ports, request, level, never)).runtime
  }

  async close(): Promise<void> {
    await this.#ports.close()
  }
}

const QUIET = { signal: never, step: () => ({ signal: never, progress: () => undefined }) }

/** onnxruntime in Node as anybody would use it: the model from its path. */
class PlainProcess {
  readonly #child: ChildProcess
  readonly #answers: AsyncIterator<string>

  private constructor(child: ChildProcess, answers: AsyncIterator<string>) {
    this.#child = child
    this.#answers = answers
  }

  static async start({ model, shape }: Subject): Promise<PlainProcess> {
    const child = spawn(process.execPath, ["-e", PLAIN, model, JSON.stringify(shape)], {
      cwd: ROOT,
      stdio: ["pipe", "pipe", "inherit"],
    })
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    await answers.next()
    return new PlainProcess(child, answers)
  }

  /** Milliseconds inside the session. */
  async call(): Promise<number> {
    this.#child.stdin?.write("\n")
    return Number((await this.#answers.next()).value)
  }

  end(): void {
    this.#child.kill()
  }
}

const PLAIN = `
const ort = require("onnxruntime-node")
const [model, shape] = process.argv.slice(1)
const dims = JSON.parse(shape)
const values = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i))
ort.InferenceSession.create(model).then((session) => {
  console.log("ready")
  process.stdin.on("data", async () => {
    const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", values, dims) }
    const startedAt = performance.now()
    await session.run(feeds)
    console.log(performance.now() - startedAt)
  })
})`

function inputsFor(runtime: RuntimeProcess, { shape }: Subject): readonly Tensor[] {
  const count = shape.reduce((product, size) => product * size, 1)
  const values = Float32Array.from({ length: count }, (_, index) => Math.sin(index))
  return [
    {
      name: runtime.model.inputs[0]?.name ?? "",
      type: "float32",
      shape,
      data: new Uint8Array(values.buffer),
    },
  ]
}
