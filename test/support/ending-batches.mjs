// Keeps the addon's threads busy until it is ended from within: argv or workerData is [addon, how], how being "exit"
// (the process ends), "throw" (an error ends it) or "terminate" (a worker that is ended from outside).
import { createRequire } from "node:module"
import { argv } from "node:process"
import { parentPort, workerData } from "node:worker_threads"

const [addon, how] = workerData ?? argv.slice(2)
const { sealBatch } = createRequire(import.meta.url)(addon)
const key = new Uint8Array(32)
const slots = Array.from({ length: 6 }, () => ({
  plain: new Uint8Array(64 * 65536),
  sealed: new Uint8Array(64 * 65552),
}))
let ended = 0
for (const { plain, sealed } of slots) {
  const again = () => {
    ended += 1
    if (ended === 12 && how === "exit") process.exit(7)
    if (ended === 12 && how === "throw") throw new Error("ended")
    if (ended === 12) parentPort.postMessage("busy")
    void sealBatch(key, 0, false, plain, new Float64Array(0), sealed, -1, 0).then(again)
  }
  again()
}
