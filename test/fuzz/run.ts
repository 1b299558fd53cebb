/**
 * `npm run fuzz -- --count N --seed S [--jobs J] [--only I]`: tells N lies about genuine packages and payloads to the code
 * that opens them, and demands that each is refused with a code, within a second and within 256 MB. Case I of seed S is
 * always the same lie; `--only I` repeats it. The last line is the summary; the status is 0 only when nothing went wrong.
 */
import { fork } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { parseArgs } from "node:util"
import type { Fault, Tally } from "./campaign.ts"
import type { WorkerMessage } from "./worker.ts"

const MAX_GROWN_BYTES = 256e6
/** A process that is silent for this long hangs inside one case; a slow one still shows its progress. */
const SILENCE_MS = 120_000

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    jobs: { type: "string", default: String(Math.min(2, os.availableParallelism())) },
    only: { type: "string" },
  },
})
const seed = Number(values.seed)
const only = values.only === undefined ? null : Number(values.only)
const jobs = only === null ? Math.max(1, Number(values.jobs)) : 1
const end = only === null ? Number(values.count) : only + 1
const startedAt = performance.now()
const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-fuzz-"))
let total: Tally
try {
  const tallies = await Promise.all(
    Array.from({ length: jobs }, async (_, job) => runWorker(only ?? job, only === null ? jobs : 1)),
  )
  total = tallies.reduce(merge)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
report(total)

async function runWorker(first: number, step: number): Promise<Tally> {
  const position = path.join(folder, String(first))
  const worker = fork(
    path.join(import.meta.dirname, "worker.ts"),
    [seed, first, step, end, position].map(String),
    { stdio: ["ignore", "inherit", "inherit", "ipc"] },
  )
  return new Promise((resolve) => {
    let isDone = false
    let soFar: Tally | null = null
    const lose = (kind: Fault["kind"], detail: string) => {
      if (isDone) return
      isDone = true
      const lost = lostTally({ index: lastCase(position), lie: "?", kind, detail })
      resolve(soFar === null ? lost : merge(soFar, lost))
    }
    const silence = setTimeout(() => {
      lose("hung", `no sign of life for ${SILENCE_MS / 1000} s`)
      worker.kill("SIGKILL")
    }, SILENCE_MS)
    worker.on("message", (message: WorkerMessage) => {
      silence.refresh()
      soFar = message.tally
      if (message.kind !== "done") return
      isDone = true
      resolve(message.tally)
    })
    worker.on("exit", (status, signal) => {
      clearTimeout(silence)
      lose("crashed", `the process ended with ${signal ?? `status ${status}`}`)
    })
  })
}

function lastCase(position: string): number {
  try {
    return readFileSync(position).readDoubleLE()
  } catch {
    return -1 // it never came to its first case
  }
}

function lostTally(fault: Fault): Tally {
  return { cases: 0, byLie: {}, byCode: {}, faults: [fault], slowestMs: 0, slowestCase: -1, grownBytes: 0 }
}

function merge(a: Tally, b: Tally): Tally {
  const slower = a.slowestMs >= b.slowestMs ? a : b
  return {
    cases: a.cases + b.cases,
    byLie: added(a.byLie, b.byLie),
    byCode: added(a.byCode, b.byCode),
    faults: [...a.faults, ...b.faults],
    slowestMs: slower.slowestMs,
    slowestCase: slower.slowestCase,
    grownBytes: Math.max(a.grownBytes, b.grownBytes),
  }
}

function added(a: Record<string, number>, b: Record<string, number>): Record<string, number> {
  const sum = { ...a }
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count
  return sum
}

function report(tally: Tally): void {
  table("lie", tally.byLie)
  table("answer", tally.byCode)
  for (const { index, lie, kind, detail } of tally.faults)
    console.log(`FAULT ${kind}: case ${index} of seed ${seed} (${lie}) ${detail}`)
  const tooLarge = tally.grownBytes > MAX_GROWN_BYTES
  if (tooLarge) console.log(`FAULT memory: a process grew by ${megabytes(tally.grownBytes)}`)
  const counted = (kind: Fault["kind"]) => tally.faults.filter((fault) => fault.kind === kind).length
  console.log(
    `fuzz: seed ${seed}, ${tally.cases} lies of ${Object.keys(tally.byLie).length} kinds, ` +
      `${counted("accepted")} accepted, ${counted("crashed")} crashes, ${counted("hung")} over 1 s, ` +
      `${Object.keys(tally.byCode).length} codes, slowest ${Math.round(tally.slowestMs)} ms (case ${tally.slowestCase}), ` +
      `memory +${megabytes(tally.grownBytes)}, ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
  )
  process.exitCode = tally.faults.length > 0 || tooLarge || tally.cases === 0 ? 1 : 0
}

function table(title: string, counts: Readonly<Record<string, number>>): void {
  const rows = Object.entries(counts).toSorted(([, a], [, b]) => b - a)
  console.log(`${title}:`)
  for (const [name, count] of rows) console.log(`  ${String(count).padStart(8)}  ${name}`)
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`
}
