/**
 * Preloaded before a program that writes a ledger: kills this process, as a power cut would, at the step of the file system
 * whose number stands in KILL_AT; a write stops in its middle. Without the number it counts the steps and prints them.
 */
import fsp from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"

const killAt = Number(process.env.KILL_AT ?? Number.POSITIVE_INFINITY)
let step = 0

function next() {
  step += 1
  if (step === killAt) process.kill(process.pid, "SIGKILL")
}

for (const name of ["mkdir", "link", "rename", "unlink", "rm"]) {
  const original = fsp[name]
  fsp[name] = async (...args) => {
    next()
    return original(...args)
  }
}
const open = fsp.open
fsp.open = async (...args) => {
  next()
  const handle = await open(...args)
  const writeFile = handle.writeFile.bind(handle)
  const sync = handle.sync.bind(handle)
  handle.writeFile = async (bytes) => {
    step += 1
    if (step === killAt) {
      await handle.write(bytes, 0, Math.floor(bytes.length / 2))
      process.kill(process.pid, "SIGKILL")
    }
    return writeFile(bytes)
  }
  handle.sync = async () => {
    next()
    return sync()
  }
  return handle
}
syncBuiltinESMExports()
process.on("exit", () => {
  if (killAt === Number.POSITIVE_INFINITY) process.stdout.write(`${step}\n`)
})
