import { spawn } from "node:child_process"
import { once } from "node:events"
import path from "node:path"
import { Worker } from "node:worker_threads"
import { describe, expect, test } from "vitest"
import { nativePayload } from "../../../native/lib/payload.ts"

const native = nativePayload()
if (native === null) throw new Error("the addon is not built")
const script = path.resolve("test/support/ending-batches.mjs")
const addon = path.resolve("native/build/Release/sealwright.node")

async function endOf(how: "exit" | "throw"): Promise<unknown> {
  const child = spawn(process.execPath, [script, addon, how], { stdio: "ignore" })
  const [code, signal]: unknown[] = await once(child, "exit")
  return signal ?? code
}

describe("batches that run when their environment ends", () => {
  test("let a process go as it wants to", async () => {
    for (let round = 0; round < 5; round += 1) {
      expect(await endOf("exit")).toBe(7)
      expect(await endOf("throw")).toBe(1)
    }
  })

  test("let a worker be ended, and the others go on", async () => {
    const key = new Uint8Array(32).fill(1)
    const [plain, sealed] = [native.allocate(64 * 65536), native.allocate(64 * 65552)]
    for (let round = 0; round < 8; round += 1) {
      const worker = new Worker(script, { workerData: [addon, "terminate"] })
      await once(worker, "message")
      const batch = { key, firstChunk: 0, endsFile: false, plain, pieces: [], sealed, output: null }
      const [outcome] = await Promise.all([native.seal(batch), worker.terminate()])
      expect(outcome).toEqual({ kind: "done", written: 0 })
    }
    const opened = new Uint8Array(plain.length)
    expect(native.cipher.open(key, 0, false, sealed, opened)).toBe(plain.length)
  })
})

test("buffers for files start on a page, whatever was allocated before", () => {
  const odd: Uint8Array[] = []
  for (const size of [4096, 65552, (4 << 20) + 16, 65537]) {
    odd.push(new Uint8Array(size - 13))
    const bytes = native.allocate(size)
    expect(bytes).toHaveLength(size)
    expect(native.pageOffset(bytes)).toBe(0)
    expect(bytes.every((byte) => byte === 0)).toBe(true)
  }
})
