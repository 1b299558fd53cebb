/** Whose copy is this? A suspect against an original, under the ledger's keys (docs/MARK.md). */
import type { FileRef } from "../../contract/schema/base.ts"
import type { TraceRequest, TraceResult } from "../../contract/schema/trace.ts"
import { toHex, toUtf8 } from "../../core/bytes/bytes.ts"
import type { PlanEntry } from "../../core/watermark/ledger.ts"
import { Tracer, type IssuedCopy, type Traced } from "../../core/watermark/trace.ts"
import { judge, statementOf } from "../../core/watermark/verdict.ts"
import type { JobContext } from "../jobs.ts"
import { OpenLedger } from "../ledger/open-ledger.ts"
import type { OpenModel } from "../model-input.ts"
import type { PendingFile, Ports } from "../ports.ts"
import { alignmentOf } from "./alignment.ts"
import { deviceNames, issuedCopies } from "./issued-copies.ts"
import { findOriginal, openReadable, planFor, type OpenReadable } from "./find-original.ts"

const REPORT_PAGE = "report.html"
const REPORT_DATA = "report.json"

/**
 * Throws LEDGER_NOT_FOUND and what opening it throws, MARK_ORIGINAL_MISSING, MARK_UNKNOWN, and the codes of reading models. A
 * suspect that has nothing to do with the original is a verdict, not an error.
 */
export async function trace(ports: Ports, request: TraceRequest, job: JobContext): Promise<TraceResult> {
  const startedAt = performance.now()
  const pages = request.report === null ? null : await openReport(ports, request.report)
  try {
    const ledger = await OpenLedger.open(ports)
    try {
      const suspect = await openReadable(ports, request.suspect, job.signal)
      try {
        const original = await openReadable(
          ports,
          request.original ?? (await findOriginal(ports, ledger, request.suspect)),
          job.signal,
        )
        try {
          const { result, scores } = await examine(
            ports,
            request,
            { ledger, suspect, original },
            job,
            startedAt,
          )
          if (pages !== null) await publish(ports, pages, result, scores)
          return result
        } finally {
          await original.model.close()
        }
      } finally {
        await suspect.model.close()
      }
    } finally {
      ledger.close()
    }
  } finally {
    await pages?.page.discard()
    await pages?.data.discard()
  }
}

interface Parties {
  readonly ledger: OpenLedger
  readonly suspect: OpenReadable
  readonly original: OpenReadable
}

async function examine(
  ports: Ports,
  request: TraceRequest,
  { ledger, suspect, original }: Parties,
  job: JobContext,
  startedAt: number,
): Promise<{ readonly result: TraceResult; readonly scores: readonly number[] }> {
  const entry = await planFor(ledger, original)
  const copies = issuedCopies(ledger.state, entry)
  const traced = await runTrace(ports, { ledger, suspect, original }, entry, copies, job)
  const verdict = judge(traced, request.level)
  const nameOf = deviceNames(ledger.state)
  const accused = [...new Set(verdict.accused.map(({ copy }) => nameOf(copy)))]
  const isAccused = new Set(verdict.accused)
  const shown = traced.copies.filter((copy, index) => index < request.top || isAccused.has(copy))
  const result: TraceResult = {
    decision: verdict.decision,
    statement: statementOf(verdict, accused, request.level),
    level: request.level,
    owner: { log10p: traced.owner.log10pCorrected, z: traced.owner.z, carriers: traced.owner.carriers },
    devices: shown.map((copy) => ({
      device: nameOf(copy.copy),
      number: copy.copy.device,
      mode: copy.copy.mode,
      log10p: copy.log10pCorrected,
      log10pSingle: copy.log10p,
      z: copy.z,
      accused: isAccused.has(copy),
    })),
    compared: copies.length,
    tests: traced.tests,
    collusion: verdict.isCollusion ? { devices: accused, hint: collusionHint(accused.length) } : null,
    alignment: alignmentOf(traced),
    evidence: {
      suspect: await describeFiles(ports, suspect.model, job),
      original: await describeFiles(ports, original.model, job),
      ledger: ledger.header.id,
      modelHash: entry.plan.modelHash,
      commitment: entry.commitment,
    },
    tool: `sealwright ${ports.machine.version}`,
    createdAt: ports.now().toISOString(),
    seconds: (performance.now() - startedAt) / 1000,
    files: request.report === null ? [] : [REPORT_PAGE, REPORT_DATA],
  }
  return { result, scores: traced.copies.map(({ z }) => z) }
}

async function runTrace(
  ports: Ports,
  { ledger, suspect, original }: Parties,
  entry: PlanEntry,
  copies: readonly IssuedCopy[],
  job: JobContext,
): Promise<Traced> {
  const weights = entry.plan.tensors.reduce((sum, { dims }) => sum + dims.reduce((a, b) => a * b, 1), 0)
  const comparing = job.step("compare weights", weights, "rows")
  const modes = [...new Set(copies.map(({ mode }) => mode))]
  const tracer = await Tracer.open({ original, plan: entry.plan, masterKey: ledger.masterKey, modes })
  try {
    return await tracer.trace(suspect, {
      copies,
      // Every model of the ledger could have been tried.
      ownerTests: ledger.state.plans.size,
      sum: async (tensors, some) => {
        const summing = job.step("compare devices", some.length, "rows")
        return ports.tracing.sums(job.signal, (done) => summing.progress(done))(tensors, some)
      },
      pause: async (done) => {
        comparing.progress(done)
        await new Promise((resolve) => setImmediate(resolve))
        job.signal.throwIfAborted()
      },
    })
  } finally {
    tracer.close()
  }
}

function collusionHint(guilty: number): string {
  return `${guilty} copies are guilty, so the suspect was merged from at least ${guilty} copies. Devices that took part with little of their copy may not stand out.`
}

async function describeFiles(
  ports: Ports,
  { files }: OpenModel,
  job: JobContext,
): Promise<TraceResult["evidence"]["suspect"]> {
  const out = []
  for (const { name, file } of files) {
    const digest = await ports.payload.digest(file.number, 0, file.size, job.step(`hash ${name}`, file.size))
    out.push({ name, bytes: file.size, sha256: toHex(digest) })
  }
  return out
}

async function openReport(
  ports: Ports,
  { file, replace }: { readonly file: FileRef; readonly replace: boolean },
): Promise<{ readonly page: PendingFile; readonly data: PendingFile }> {
  const options = { replace, isSecret: false }
  const page = await ports.files.create(await ports.files.inFolder(file, REPORT_PAGE), options)
  try {
    return { page, data: await ports.files.create(await ports.files.inFolder(file, REPORT_DATA), options) }
  } catch (error) {
    await page.discard()
    throw error
  }
}

async function publish(
  ports: Ports,
  { page, data }: { readonly page: PendingFile; readonly data: PendingFile },
  result: TraceResult,
  scores: readonly number[],
): Promise<void> {
  await page.write(0, toUtf8(await ports.reports.trace(result, scores)))
  await data.write(0, toUtf8(`${JSON.stringify(result, null, 2)}\n`))
  await data.commit()
  await page.commit()
}
