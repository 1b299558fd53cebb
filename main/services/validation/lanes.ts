/**
 * The same package in every kind of runtime this machine can give it, side by side: each batch goes to all of them in
 * turn, so that whatever else the machine does hits all alike.
 */
import type { FileRef } from "../../contract/schema/base.ts"
import { levelSchema, type RuntimeLevel } from "../../contract/schema/runtime.ts"
import type { Lane as MeasuredLane } from "../../contract/schema/validate.ts"
import { toAppError } from "../../contract/errors.ts"
import { Firewall } from "../../core/policy/firewall/firewall.ts"
import type { Policy } from "../../core/policy/policy.ts"
import type { Feed } from "../feed.ts"
import type { JobContext } from "../jobs.ts"
import type { Ports, RuntimeProcess, Tensor } from "../ports.ts"
import { loadSealedModel } from "../sealed-model.ts"
import { compareOutputs, summarise } from "../statistics.ts"

/** Calls that are timed in each lane, unless that takes longer than the limit. */
const TIMED_CALLS = 60
const MAX_MS = 15_000
const WARM_UP = 2
const CLIENT = "validation"

export interface LaneReport {
  readonly lanes: MeasuredLane[]
  readonly skipped: { readonly name: string; readonly why: string }[]
}

interface Lane {
  readonly name: MeasuredLane["name"]
  readonly level: RuntimeLevel | null
  readonly runtime: RuntimeProcess
  infer(inputs: readonly Tensor[]): Promise<readonly Tensor[]>
}

/** `plain` is the model in an ordinary process. Its outputs are not compared: a mark changes them. */
export async function measureLanes(
  ports: Ports,
  request: { readonly file: FileRef; readonly device: string; readonly trust: FileRef | null },
  plain: RuntimeProcess,
  feed: Feed,
  job: JobContext,
): Promise<LaneReport> {
  const skipped: LaneReport["skipped"] = []
  const opened: Lane[] = [
    {
      name: "plain",
      level: null,
      runtime: plain,
      infer: async (inputs) => (await plain.infer(inputs, job.signal)).outputs,
    },
  ]
  try {
    const { reached } = await ports.runtime.probe(job.signal)
    let policy: Policy | null = null
    for (const level of levelSchema.options.slice(0, levelSchema.options.indexOf(reached) + 1)) {
      try {
        const sealed = await loadSealedModel(ports, request, level, job.signal)
        const { runtime } = sealed
        policy = sealed.policy
        if (runtime.level.reached !== level) {
          await runtime.close()
          skipped.push({ name: level, why: runtime.level.reason })
          continue
        }
        opened.push({
          name: level,
          level,
          runtime,
          infer: async (inputs) => (await runtime.infer(inputs, job.signal)).outputs,
        })
      } catch (error) {
        job.signal.throwIfAborted()
        skipped.push({ name: level, why: toAppError(error).message })
      }
    }
    for (const level of levelSchema.options.slice(levelSchema.options.indexOf(reached) + 1))
      skipped.push({ name: level, why: `this machine reaches ${reached}` })
    const highest = opened.at(-1)
    if (highest !== undefined && highest.level !== null && policy !== null)
      opened.push(behindFirewall(ports, highest, policy, job))
    return { lanes: await measure(opened, feed, job), skipped }
  } finally {
    for (const { runtime, name } of opened) if (name !== "plain" && name !== "firewall") await runtime.close()
  }
}

/** The highest lane with the grant's firewall in front, without what would refuse a measurement: rate and budget. */
function behindFirewall(ports: Ports, { level, runtime }: Lane, policy: Policy, job: JobContext): Lane {
  const firewall = new Firewall({
    rules: { ...policy.firewall, rate: null, lifetimeRows: null, rowsPerCall: null },
    inputs: runtime.model.inputs,
    rowsUsed: 0,
    salt: ports.random(32),
    seed: ports.random(32),
    now: ports.now,
    clockMs: () => performance.now(),
    spend: async () => {},
    audit: () => {},
    pause: async () => {},
  })
  firewall.admit(CLIENT, ports.random(32))
  return {
    name: "firewall",
    level,
    runtime,
    infer: async (inputs) =>
      firewall.call(
        CLIENT,
        inputs,
        async (checked) => (await runtime.infer(checked, job.signal)).outputs,
        job.signal,
      ),
  }
}

async function measure(lanes: readonly Lane[], feed: Feed, job: JobContext): Promise<MeasuredLane[]> {
  const samples = lanes.map(() => [] as number[])
  const identical = lanes.map(() => 0)
  const reference = lanes.findIndex(({ level }) => level !== null)
  const control = job.step("levels", TIMED_CALLS, "rows")
  const startedAt = performance.now()
  let compared = 0
  for (let call = 0; call < TIMED_CALLS + WARM_UP; call += 1) {
    if (call > WARM_UP && performance.now() - startedAt > MAX_MS) break
    const row = (call * feed.batch) % feed.rows
    const inputs = await feed.batchAt(row)
    const rows = Math.min(feed.batch, feed.rows - row)
    const outputs: (readonly Tensor[])[] = lanes.map(() => [])
    // Another lane goes first each time: the first of a round pays for cold caches.
    for (let turn = 0; turn < lanes.length; turn += 1) {
      const index = (turn + call) % lanes.length
      const lane = lanes[index]
      if (lane === undefined) continue
      const from = performance.now()
      outputs[index] = await lane.infer(inputs)
      if (call >= WARM_UP) samples[index]?.push(performance.now() - from)
    }
    compared += rows
    for (const [index] of lanes.entries())
      identical[index] =
        (identical[index] ?? 0) +
        compareOutputs(outputs[reference] ?? [], outputs[index] ?? [], rows).identicalRows
    control.progress(call + 1)
  }
  const base = summarise(samples[0] ?? [])
  const report: MeasuredLane[] = []
  for (const [index, { name, level, runtime }] of lanes.entries()) {
    const latency = summarise(samples[index] ?? [])
    report.push({
      name,
      level,
      calls: samples[index]?.length ?? 0,
      latencyMs: latency,
      overhead: { p50: latency.p50 / base.p50, p95: latency.p95 / base.p95 },
      loadMs: runtime.model.loadMs.total,
      peakMemoryBytes: (await runtime.memory()).peakBytes,
      rowsCompared: compared,
      identicalRows: identical[index] ?? 0,
    })
  }
  return report
}
