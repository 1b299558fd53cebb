/** Devices killed at random points of their life, and what must hold afterwards. */
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import path from "node:path"
import { expect } from "vitest"
import { descendants, sampleWindows, type Scanner } from "./memory-scanner.ts"
import { DeviceProcess } from "./runtime-device.ts"
import { MODELS } from "./workspace.ts"
import type { Desk } from "./desk.ts"

/** Longest wait before the kill, milliseconds: from before the launcher runs to well into inference. */
const LAST_POINT_MS = 2500
const PATIENCE_MS = 20_000

/**
 * `rounds` times: starts a device, kills its engine or its runtime with SIGKILL at a random moment, and expects that all
 * its processes end and no plaintext is on disk. At the end a device starts and infers as if nothing had been.
 */
export async function killAtRandom(
  desk: Desk,
  newScanner: (windows: Uint8Array) => Scanner,
  rounds: number,
  seed: number,
): Promise<void> {
  const folder = desk.at("killed")
  mkdirSync(folder)
  const file = path.join(folder, "model.seal")
  await desk.protect("fashion-cnn.onnx", file)
  const scanner = newScanner(sampleWindows(readFileSync(path.join(MODELS, "fashion-cnn.onnx")), 4096, 7))
  const start = () =>
    new DeviceProcess({ workspace: desk.workspace, file, device: "press-07", level: "R2", cwd: folder })
  let state = seed
  for (let round = 0; round < rounds; round++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const device = start()
    void device.answer()
    device.child.stdin?.write("infer 100000\n")
    await new Promise((resolve) => setTimeout(resolve, (state / 2 ** 32) * LAST_POINT_MS))
    const [runtime] = descendants(device.pid)
    const isEngine = round % 2 === 0 || runtime === undefined
    process.kill(isEngine ? device.pid : runtime, "SIGKILL")
    if (!isEngine) device.child.stdin?.end()
    expect(await allGone(folder), `round ${round}: processes left`).toEqual([])
    expect((await scanner.folder(folder)).found, `round ${round}: on disk`).toBe(0)
  }
  const device = start()
  expect(await device.answer()).toMatchObject({ kind: "loaded", level: "R2" })
  expect(await device.tell("infer 1")).toEqual({ kind: "inferred" })
}

/** Processes that work in a folder, once there are none or patience ends. */
async function allGone(folder: string): Promise<readonly number[]> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    const left = readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && cwdOf(name) === folder)
      .map(Number)
    if (left.length === 0 || performance.now() > until) return left
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** `null` for a process that is gone or dead: a zombie has no folder. */
function cwdOf(pid: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return null
  }
}
