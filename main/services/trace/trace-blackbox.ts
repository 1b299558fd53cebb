/** Whose copy answers like this? Labels at the decision boundary against every device's copy (docs/MARK.md). */
import { AppError } from "../../contract/errors.ts"
import type { TraceBlackboxRequest, TracedBlackbox } from "../../contract/schema/trace-blackbox.ts"
import type { Edition } from "../../core/watermark/embed.ts"
import { rankDevices } from "../../core/watermark/rank-test.ts"
import { correct } from "../../core/watermark/detect.ts"
import type { JobContext } from "../jobs.ts"
import { OpenLedger } from "../ledger/open-ledger.ts"
import { openModel } from "../model-input.ts"
import type { Ports, Tensor } from "../ports.ts"
import { CopyDesk, meanPatches, topOf, toScores } from "./copy-desk.ts"
import { openReadable, planFor } from "./find-original.ts"
import { findProbes, marginOf, type Probes } from "./probes.ts"
import { deviceNames, issuedCopies } from "./issued-copies.ts"

/** Fakes that settle the statistic before any rank is taken. */
const PILOTS = 100
/** Code words of devices that do not exist: numbers no ledger gives out. */
const FIRST_FAKE = 2 ** 31

/** Throws what `trace` throws, INPUT_MISMATCH for data the model does not take, and SUSPECT_ANSWERS. */
export async function traceBlackbox(
  ports: Ports,
  request: TraceBlackboxRequest,
  job: JobContext,
): Promise<TracedBlackbox> {
  const startedAt = performance.now()
  const ledger = await OpenLedger.open(ports)
  try {
    const original = await openReadable(ports, request.original)
    try {
      const entry = await planFor(ledger, original)
      const copies = issuedCopies(ledger.state, entry)
      if (copies.length === 0) throw new AppError("MARK_UNKNOWN", "no copy of that original was issued")
      const desk = await CopyDesk.open(ports, original, entry.plan, ledger.masterKey, job.signal)
      try {
        const mode = copies[0]?.mode ?? "individual"
        const pilots = await Promise.all(
          Array.from({ length: PILOTS }, async (_, i) => desk.patches(fake(mode, i))),
        )
        const finding = job.step("find the decision boundary", 20, "rows")
        const centre = desk.hasMean ? meanPatches(pilots) : []
        const probes = await findProbes(ports, desk, centre, request, (step) => finding.progress(step))
        const answers = await askSuspect(ports, request, probes, job)
        const batches: number[] = []
        for (const batch of probes.batches) batches.push(await desk.process.keep([batch]))
        const total = PILOTS + request.fakes + copies.length
        const running = job.step("run copies", total, "rows")
        let done = 0
        const margins = async (patches: Parameters<CopyDesk["scores"]>[0]) => {
          job.signal.throwIfAborted()
          const scores = await desk.scores(patches, batches)
          running.progress((done += 1))
          return Float64Array.from(probes.first, (_, probe) =>
            marginOf(scores, probe, probes.first, probes.second),
          )
        }
        const settled: Float64Array[] = []
        for (const patches of pilots) settled.push(await margins(patches))
        const fakes: Float64Array[] = []
        for (let i = 0; i < request.fakes; i += 1)
          fakes.push(await margins(await desk.patches(fake(mode, PILOTS + i))))
        const devices: Float64Array[] = []
        for (const { device, attempt, mode: kind } of copies)
          devices.push(await margins(await desk.patches({ kind, word: { device, attempt } })))
        const ranked = rankDevices({ answers, pilots: settled, fakes, devices })
        const nameOf = deviceNames(ledger.state)
        const limit = Math.log10(request.level)
        const listed = ranked
          .map(({ statistic, p }, index) => {
            const copy = copies[index] ?? { device: 0, attempt: 0, mode }
            const log10p = correct(Math.log10(p), copies.length)
            return {
              device: nameOf(copy),
              number: copy.device,
              log10p,
              p,
              statistic,
              accused: log10p < limit,
            }
          })
          .toSorted((a, b) => a.p - b.p || b.statistic - a.statistic)
        const isNamed = listed.some(({ accused }) => accused)
        return {
          decision: isNamed ? "device-named" : "device-ranked",
          statement: statementOf(listed, isNamed),
          level: request.level,
          devices: listed,
          probes: request.probes,
          fakes: request.fakes,
          queries: request.probes,
          onBoundary: answers.reduce((sum, u) => sum + Math.abs(u), 0) / answers.length,
          limits: limitsOf(request, copies.length),
          seconds: (performance.now() - startedAt) / 1000,
        }
      } finally {
        await desk.close()
      }
    } finally {
      await original.model.close()
    }
  } finally {
    ledger.close()
  }
}

function fake(mode: "individual" | "fleet", index: number): Edition {
  return { kind: mode, word: { device: FIRST_FAKE + index, attempt: 0 } }
}

/** The suspect's label at every probe: 1 and -1 for its two classes, 0 for any other. */
async function askSuspect(
  ports: Ports,
  request: TraceBlackboxRequest,
  { batches, first, second }: Probes,
  job: JobContext,
): Promise<Int8Array> {
  const labels = await labelsOf(ports, request, batches, job)
  return Int8Array.from(first, (a, probe) =>
    labels[probe] === a ? 1 : labels[probe] === second[probe] ? -1 : 0,
  )
}

async function labelsOf(
  ports: Ports,
  { suspect }: TraceBlackboxRequest,
  batches: readonly Tensor[],
  job: JobContext,
): Promise<readonly number[]> {
  if (suspect.kind === "command") {
    const command = ports.suspects.start(suspect.command)
    try {
      const labels: number[] = []
      for (const batch of batches) {
        job.signal.throwIfAborted()
        labels.push(...(await command.labels(batch)))
      }
      return labels
    } finally {
      await command.close()
    }
  }
  const model = await openModel(ports.files, suspect.file)
  try {
    const process = await ports.trials.start(model.files, job.signal)
    try {
      const numbers: number[] = []
      const name = process.inputs[0]?.name ?? ""
      for (const batch of batches) numbers.push(await process.keep([{ ...batch, name }]))
      const scores = toScores(await process.run([], numbers))
      return Array.from({ length: scores.values.length / scores.classes }, (_, row) => topOf(scores, row))
    } finally {
      await process.close()
    }
  } finally {
    await model.close()
  }
}

function statementOf(devices: TracedBlackbox["devices"], isNamed: boolean): string {
  const [first] = devices
  if (first === undefined) return "No copies were compared."
  const rank = `Of all devices ${first.device} answers most like the suspect (rank p ${first.p.toPrecision(2)} alone).`
  return isNamed
    ? `${rank} Among the devices compared that is less than the accepted chance of a false accusation.`
    : `${rank} That is a lead, not a proof: get hold of the file and trace its weights.`
}

function limitsOf({ fakes, level }: TraceBlackboxRequest, devices: number): string[] {
  const needed = Math.ceil(devices / level)
  return [
    `With ${fakes} fakes no p-value below ${(1 / (fakes + 1)).toPrecision(2)} can be had; to accuse one of ${devices} devices at level ${level} more than ${needed.toLocaleString("en")} would be needed.`,
    "Fine-tuning, pruning, noise of a tenth of the weights' spread and coarse quantisation move the boundary more than a device's mark does.",
    "Rounding to 8 bits and half precision do not.",
    "Somebody who chooses the inputs can choose the answer: keep the data the probes were made of.",
  ]
}
