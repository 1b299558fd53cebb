// Preloaded into a process that is measured: when it ends, writes what it read and the most memory it had resident.
import { readFileSync, writeFileSync } from "node:fs"

process.on("exit", () => {
  const { SEALWRIGHT_BENCH_OUT: out } = process.env
  if (out === undefined) return
  const field = (file, name) => Number(new RegExp(`${name}:\\s*(\\d+)`).exec(readFileSync(file, "utf8"))?.[1])
  const bytesRead = field("/proc/self/io", "rchar")
  const peakBytes = field("/proc/self/status", "VmHWM") * 1024
  writeFileSync(`${out}.${process.pid}`, JSON.stringify({ bytesRead, peakBytes }))
})
