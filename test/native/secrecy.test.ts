/**
 * What a second process sees of the weights, as root and as an ordinary user: a scanner reads the memory of every process
 * of ours (two ways), the workspace and the temporary folder while a package is loaded, used and unloaded.
 */
import { spawn, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs"
import path from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import type { RuntimeLevel } from "../../main/contract/schema/runtime.ts"
import { useDesk } from "../support/desk.ts"
import {
  descendants,
  sampleWindows,
  useScanners,
  type Scan,
  type Scanner,
} from "../support/memory-scanner.ts"
import { DeviceProcess, giveToNobody, isRoot, NOBODY } from "../support/runtime-device.ts"
import { MODELS, ROOT } from "../support/workspace.ts"

const WINDOWS = 4096
const desk = useDesk()
const newScanner = useScanners()

interface Sealed {
  readonly folder: string
  readonly file: string
  readonly workspace: string
  /** Plaintext of the original and of the copy this device gets: model and external data one after another. */
  readonly secret: Uint8Array
}

/** A package with its workspace in a folder that holds nothing else; the opened copy is read and removed again. */
async function seal(model: string): Promise<Sealed> {
  const folder = desk.at(`device-${model}-${counter++}`)
  mkdirSync(folder, { mode: 0o755 })
  const file = path.join(folder, "model.seal")
  await desk.protect(model, file)
  const opened = path.join(desk.at(`opened-${counter++}`), "model.onnx")
  mkdirSync(path.dirname(opened))
  await desk.open(file, opened)
  const plain = readdirSync(path.dirname(opened)).map((name) =>
    readFileSync(path.join(path.dirname(opened), name)),
  )
  rmSync(path.dirname(opened), { recursive: true })
  const original = [model, model.replace(".onnx", ".bin")]
    .filter((name) => readdirSync(MODELS).includes(name))
    .map((name) => readFileSync(path.join(MODELS, name)))
  const workspace = path.join(folder, "workspace")
  cpSync(desk.workspace, workspace, { recursive: true })
  return { folder, file, workspace, secret: Buffer.concat([...original, ...plain]) }
}
let counter = 0

async function startDevice(sealed: Sealed, level: RuntimeLevel, isOrdinary = false): Promise<DeviceProcess> {
  if (isOrdinary) {
    giveToNobody(sealed.folder)
    spawnSync("chmod", ["755", desk.folder])
  }
  return new DeviceProcess({ ...sealed, device: "press-07", level, isOrdinary, cwd: sealed.folder })
}

/** Windows found in any of the processes, both ways; the kernel must have let us look at some memory of each. */
async function lookInto(scanner: Scanner, pids: readonly number[]): Promise<number> {
  let most = 0
  for (const pid of pids) {
    for (const scan of [await scanner.memory(pid), await scanner.memoryByCall(pid)]) {
      if (scan.kind === "refused") continue // it ended while we looked
      most = Math.max(most, scan.found)
    }
  }
  return most
}

/** Looks again and again until `done`; returns the most that was ever found. */
async function watch(scanner: Scanner, device: DeviceProcess, done: Promise<unknown>): Promise<number> {
  const over = done.then(() => true)
  let most = 0
  let isOver = false
  while (!isOver) {
    most = Math.max(most, await lookInto(scanner, [device.pid, ...descendants(device.pid)]))
    isOver = await Promise.race([over, Promise.resolve(false)])
  }
  return most
}

const FOUND_NOTHING = 0

async function scanLife(model: string, isOrdinary: boolean): Promise<void> {
  const sealed = await seal(model)
  const scanner = newScanner(sampleWindows(sealed.secret, WINDOWS, 7))
  const device = await startDevice(sealed, "R2", isOrdinary)
  const loading = device.answer()
  expect(await watch(scanner, device, loading), "while it loads").toBe(FOUND_NOTHING)
  expect(await loading).toMatchObject({ kind: "loaded", level: "R2" })
  const processes = descendants(device.pid)
  expect(processes.length, "the runtime and its guard").toBe(2)
  const inferring = device.tell("infer 1000")
  expect(await watch(scanner, device, inferring), "while it infers").toBe(FOUND_NOTHING)
  await inferring
  const unloaded = await device.tell("unload")
  expect(unloaded).toMatchObject({ kind: "unloaded" })
  expect(await lookInto(scanner, [device.pid, ...processes]), "after it unloaded").toBe(FOUND_NOTHING)
  expect((await scanner.folder(sealed.folder)).found, "in the workspace").toBe(FOUND_NOTHING)
  expect(await device.tell("close")).toEqual({ kind: "closed" })
  expect(descendants(device.pid), "nothing is left").toEqual([])
}

// A scan reads everything the process has, twice: seconds on a quiet machine, more beside other suites.
const SCAN_TIMEOUT_MS = 240_000

describe.runIf(process.platform === "linux")("weights in memory", { timeout: SCAN_TIMEOUT_MS }, () => {
  test("a plain onnxruntime process shows them to the same scanner", async () => {
    const model = path.join(MODELS, "fashion-cnn.onnx")
    const scanner = newScanner(sampleWindows(readFileSync(model), WINDOWS, 7))
    const script =
      "const ort = require('onnxruntime-node'); ort.InferenceSession.create(process.argv[1]).then((s) => { globalThis.s = s; console.log('loaded'); setInterval(() => {}, 1000) })"
    const plain = spawn(process.execPath, ["-e", script, model], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "inherit"],
    })
    onTestFinished(() => {
      plain.kill("SIGKILL")
    })
    await new Promise((resolve) => plain.stdout.once("data", resolve))
    const scans = [await scanner.memory(plain.pid ?? -1), await scanner.memoryByCall(plain.pid ?? -1)]
    for (const scan of scans) expect(scan.kind === "read" ? scan.found : 0).toBeGreaterThan(WINDOWS / 10)
  })

  for (const model of [
    "fashion-cnn.onnx",
    "fashion-cnn-fp16.onnx",
    "fashion-cnn-int8-qdq.onnx",
    "fashion-cnn-external.onnx",
  ]) {
    test(`R2 shows none of ${model}, nor its copies on disk, from load to close`, async () => {
      await scanLife(model, false)
    })
  }

  test.runIf(isRoot)("R2 of an ordinary user shows none to root either", async () => {
    await scanLife("fashion-cnn.onnx", true)
  })

  test("R1 shows them to root while loaded, and nothing once unloaded", async () => {
    const sealed = await seal("fashion-mlp.onnx")
    const scanner = newScanner(sampleWindows(sealed.secret, WINDOWS, 7))
    const device = await startDevice(sealed, "R1")
    const loading = device.answer()
    const seen = await watch(scanner, device, loading)
    expect(await loading).toMatchObject({ kind: "loaded", level: "R1" })
    const [runtime = -1] = descendants(device.pid)
    expect(Math.max(seen, await lookInto(scanner, [runtime]))).toBeGreaterThan(0)
    await device.tell("infer 50")
    await device.tell("unload")
    expect(await lookInto(scanner, [device.pid, runtime])).toBe(FOUND_NOTHING)
  })

  test("R0 leaves no process and nothing on disk once closed", async () => {
    const sealed = await seal("fashion-cnn.onnx")
    const scanner = newScanner(sampleWindows(sealed.secret, WINDOWS, 7))
    const device = await startDevice(sealed, "R0")
    expect(await device.answer()).toMatchObject({ kind: "loaded", level: "R0" })
    await device.tell("infer 5")
    await device.tell("close")
    expect(descendants(device.pid)).toEqual([])
    expect(await lookInto(scanner, [device.pid])).toBe(FOUND_NOTHING)
    expect((await scanner.folder(sealed.folder)).found).toBe(FOUND_NOTHING)
  })
})

describe.runIf(process.platform === "linux")(
  "attempts on a runtime at R2",
  { timeout: SCAN_TIMEOUT_MS },
  () => {
    const refusedFor = (scan: Scan) => (scan.kind === "refused" ? "refused" : "read")

    test("a debugger cannot attach or dump, root included", async () => {
      const sealed = await seal("fashion-cnn.onnx")
      const device = await startDevice(sealed, "R2")
      expect(await device.answer()).toMatchObject({ kind: "loaded", level: "R2" })
      const processes = descendants(device.pid)
      expect(processes.length).toBe(2)
      for (const pid of processes) {
        for (const task of readdirSync(`/proc/${pid}/task`)) {
          const status = readFileSync(`/proc/${pid}/task/${task}/status`, "utf8")
          expect(status).not.toMatch(/^TracerPid:\t0$/m)
        }
        const dump = path.join(sealed.folder, `dump-${pid}`)
        const attach = spawnSync(
          "gdb",
          ["-batch", "-nx", "-ex", `attach ${pid}`, "-ex", `generate-core-file ${dump}`],
          { encoding: "utf8", env: { ...process.env, DEBUGINFOD_URLS: "" } },
        )
        expect(`${attach.stdout}${attach.stderr}`).toMatch(/ptrace: Operation not permitted|Could not attach/)
        expect(readdirSync(sealed.folder)).not.toContain(`dump-${pid}`)
        const trace = spawnSync("strace", ["-p", String(pid)], { encoding: "utf8", timeout: 20_000 })
        expect(trace.status).not.toBe(0)
        expect(trace.stderr).toMatch(/Operation not permitted/)
      }
      expect(await device.tell("infer 1")).toEqual({ kind: "inferred" })
    })

    test.runIf(isRoot)(
      "another process of the same ordinary user reads nothing and gets nowhere",
      async () => {
        const sealed = await seal("fashion-cnn.onnx")
        const device = await startDevice(sealed, "R2", true)
        expect(await device.answer()).toMatchObject({ kind: "loaded", level: "R2" })
        const [runtime = -1] = descendants(device.pid)
        const scanner = newScanner(sampleWindows(sealed.secret, WINDOWS, 7), { uid: NOBODY })
        expect(refusedFor(await scanner.memory(runtime))).toBe("refused")
        expect(refusedFor(await scanner.memoryByCall(runtime))).toBe("refused")
        for (const name of ["root/etc/passwd", "environ", "fd", "cwd/model.seal"]) {
          const look = spawnSync("ls", [`/proc/${runtime}/${name}/.`.replace(/passwd\/\.$/, "passwd")], {
            uid: NOBODY,
            gid: NOBODY,
            encoding: "utf8",
          })
          const read = spawnSync("cat", [`/proc/${runtime}/${name}`], {
            uid: NOBODY,
            gid: NOBODY,
            encoding: "utf8",
          })
          expect([look.status === 0, read.status === 0], name).toEqual([false, false])
        }
      },
    )

    test("a forced crash leaves no core file, no process, and the next start works", async () => {
      const sealed = await seal("fashion-cnn.onnx")
      const device = await startDevice(sealed, "R2")
      expect(await device.answer()).toMatchObject({ kind: "loaded" })
      const [runtime = -1] = descendants(device.pid)
      process.kill(runtime, "SIGABRT")
      expect(await device.tell("infer 1")).toMatchObject({ kind: "failed" })
      expect(readdirSync(sealed.folder).filter((name) => name.startsWith("core"))).toEqual([])
      const next = await startDevice(sealed, "R2")
      expect(await next.answer()).toMatchObject({ kind: "loaded", level: "R2" })
    })
  },
)
