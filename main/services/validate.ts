/** Plain and sealed side by side on the user's own data: equality, latency, load time, memory, accuracy. */
import { AppError } from "../contract/errors.ts"
import type { Validated, ValidateRequest, Validation } from "../contract/schema/validate.ts"
import type { FileRef } from "../contract/schema/base.ts"
import type { JsonObject } from "../core/attest/statement.ts"
import { toHex, toUtf8 } from "../core/bytes/bytes.ts"
import { readAll } from "../core/bytes/source.ts"
import { judgeGate, parseGate, type GateLimits } from "../core/policy/gate.ts"
import { attachStatement } from "./validation/attach.ts"
import { measureLanes } from "./validation/lanes.ts"
import { readNpyHeader, readNpyRows, npyRowCount, type NpyRows } from "../core/bytes/npy.ts"
import { openFeed, type Feed } from "./feed.ts"
import type { JobContext } from "./jobs.ts"
import { openModel, type OpenModel } from "./model-input.ts"
import { isMarked, notAppliedIn } from "./not-applied.ts"
import type { Files, Ports, RuntimeOptions, RuntimeProcess } from "./ports.ts"
import { randomFeed } from "./random-feed.ts"
import { loadSealedModel, type SealedModel } from "./sealed-model.ts"
import { compareOutputs, median, Scorer, summarise } from "./statistics.ts"

/** Calls that are timed at least, so that a 99th percentile means something; the data is gone over again until then. */
const MIN_TIMED_CALLS = 100
/** …unless that takes longer than this. */
const MAX_TIMING_MS = 20_000
/** What sealing is compared with: an ordinary process. */
const PLAIN: RuntimeOptions = { level: "R0", minimum: "R0" }
const WARM_UP_CALLS = 3
/** Loads of each kind whose median is reported, when a load is quick enough to repeat. */
const LOADS = 3
const MAX_REPEATED_LOAD_MS = 3000

export async function validate(ports: Ports, request: ValidateRequest, job: JobContext): Promise<Validated> {
  const reportFile = await ports.files.inFolder(request.report.file, "report.html")
  const dataFile = await ports.files.inFolder(request.report.file, "report.json")
  const options = { replace: request.report.replace, isSecret: false }
  const page = await ports.files.create(reportFile, options)
  const data = await ports.files.create(dataFile, options)
  try {
    const limits = request.gate === null ? {} : await readGate(ports, request.gate)
    const validation = await measure(ports, request, limits, job)
    await data.write(0, toUtf8(`${JSON.stringify(validation, null, 2)}\n`))
    await page.write(0, toUtf8(await ports.reports.validation(validation)))
    job.signal.throwIfAborted()
    await data.commit()
    await page.commit()
    const files = ["report.html", "report.json"]
    if (request.sign === null) return { validation, files, signedBy: null }
    const { signedBy, fingerprint } = await attachStatement(
      ports,
      request.file,
      validation.package.digest,
      { name: "validation", predicate: predicateOf(validation), createdAt: validation.createdAt },
      request.sign.key,
      job,
    )
    return { validation, files, signedBy: { key: signedBy, fingerprint } }
  } finally {
    await page.discard()
    await data.discard()
  }
}

/** Throws GATE_MALFORMED, also for a file too large to be a gate. */
async function readGate(ports: Ports, ref: FileRef): Promise<GateLimits> {
  const file = await ports.files.open(ref)
  try {
    const tooLarge = () => new AppError("GATE_MALFORMED", `${file.name} is too large for a gate`)
    return parseGate(await readAll(file, MAX_GATE_BYTES, tooLarge))
  } finally {
    await file.close()
  }
}

const MAX_GATE_BYTES = 1 << 16

/** What is signed: the figures, without the samples they came from and without names of the model or the data. */
function predicateOf(validation: Validation): JsonObject {
  const { samplesMs, model, data, package: pkg, ...figures } = validation
  void samplesMs
  void pkg
  const public_ = { ...figures, model: { parameters: model.parameters }, data: { rows: data.rows } }
  // The schema made it, so it holds nothing but JSON.
  return JSON.parse(JSON.stringify(public_)) as JsonObject
}

async function measure(
  ports: Ports,
  request: ValidateRequest,
  limits: GateLimits,
  job: JobContext,
): Promise<Validation> {
  const model = await openModel(ports.files, request.model)
  try {
    const loading = await loadBoth(ports, request, model, job)
    const { plain, sealed } = loading
    const opened = isMarked(sealed.statement) ? await loadOpened(ports, request, job.signal) : null
    try {
      const feed =
        request.data === null
          ? randomFeed(plain.model.inputs)
          : await openFeed(
              ports.files,
              { ...request, inputs: [{ name: null, file: request.data }] },
              plain.model.inputs,
            )
      try {
        const labels = request.labels === null ? null : await readLabels(ports.files, request.labels, feed)
        const outcome = await compare(plain, sealed.runtime, opened, feed, labels, job)
        const latencyPlain = summarise(outcome.samplesMs.plain)
        const latencySealed = summarise(outcome.samplesMs.sealed)
        const { lanes, skipped } = await measureLanes(ports, request, plain, feed, job)
        const gate = judgeGate(limits, {
          isIdentical: outcome.equality.identicalRows === outcome.equality.rows,
          accuracy: outcome.accuracy,
          p50Overhead: latencySealed.p50 / latencyPlain.p50,
          p95Overhead: latencySealed.p95 / latencyPlain.p95,
          loadRatio: loading.loadMs.sealed / loading.loadMs.plain,
          level: sealed.runtime.level.reached,
        })
        return {
          version: 1,
          createdAt: ports.now().toISOString(),
          tool: `sealwright ${ports.machine.version}`,
          package: { name: ports.files.nameOf(request.file), digest: sealed.packageDigest },
          model: {
            name: model.files[0]?.name ?? "",
            parameters: model.index.parameterCount,
            bytes: model.bytes,
          },
          data: {
            name: feed.names[0] ?? "",
            rows: feed.rows,
            sha256: request.data === null ? "none, made up" : await digestOf(ports, request.data, job),
          },
          machine: ports.machine.describe(),
          level: sealed.runtime.level.reached,
          batch: feed.batch,
          conversions: [...feed.conversions],
          equality: outcome.equality,
          accuracy: outcome.accuracy,
          latencyMs: {
            batches: outcome.samplesMs.plain.length,
            plain: latencyPlain,
            sealed: latencySealed,
            overhead: latencySealed.p50 / latencyPlain.p50,
          },
          loadMs: loading.loadMs,
          peakMemoryBytes: {
            plain: (await plain.memory()).peakBytes,
            sealed: (await sealed.runtime.memory()).peakBytes,
          },
          lanes,
          skippedLanes: skipped,
          gate: { passed: gate.passed, lines: [...gate.lines] },
          samplesMs: outcome.samplesMs,
          notApplied: notAppliedIn(sealed.statement),
        }
      } finally {
        await feed.close()
      }
    } finally {
      await plain.close()
      await sealed.runtime.close()
      await opened?.close()
    }
  } finally {
    await model.close()
  }
}

interface Loaded {
  readonly plain: RuntimeProcess
  readonly sealed: SealedModel
  readonly loadMs: Validation["loadMs"]
}

/** Loads both kinds in turn, several times when that is quick, and keeps the last two processes. */
async function loadBoth(
  ports: Ports,
  request: ValidateRequest,
  model: OpenModel,
  job: JobContext,
): Promise<Loaded> {
  const plainMs: number[] = []
  const sealedMs: RuntimeProcess["model"]["loadMs"][] = []
  const control = job.step("load", LOADS, "rows")
  for (let round = 1; ; round += 1) {
    const plain = await ports.runtime.start({ kind: "plain", files: model.files }, PLAIN, job.signal)
    let sealed: SealedModel
    try {
      sealed = await loadSealedModel(ports, request, null, job.signal)
    } catch (error) {
      await plain.close()
      throw error
    }
    plainMs.push(plain.model.loadMs.total)
    sealedMs.push(sealed.runtime.model.loadMs)
    control.progress(round)
    if (round === LOADS || sealed.runtime.model.loadMs.total > MAX_REPEATED_LOAD_MS) {
      const part = (pick: (ms: RuntimeProcess["model"]["loadMs"]) => number) => median(sealedMs.map(pick))
      return {
        plain,
        sealed,
        loadMs: {
          plain: median(plainMs),
          sealed: part((ms) => ms.total),
          decrypt: part((ms) => ms.decrypt),
          verify: part((ms) => ms.verify),
          session: part((ms) => ms.session),
        },
      }
    }
    await plain.close()
    await sealed.runtime.close()
  }
}

/**
 * The same marked copy in an ordinary process. A mark changes weights, so bit for bit a sealed copy can only be compared with
 * itself; what the mark did is in the accuracy against the original. A grant that demands more than an ordinary process gets
 * what it demands.
 */
async function loadOpened(
  ports: Ports,
  request: ValidateRequest,
  signal: AbortSignal,
): Promise<RuntimeProcess> {
  try {
    return (await loadSealedModel(ports, request, "R0", signal)).runtime
  } catch (error) {
    if (!(error instanceof AppError && error.code === "RUNTIME_LEVEL")) throw error
    return (await loadSealedModel(ports, request, null, signal)).runtime
  }
}

interface Outcome {
  readonly equality: Validation["equality"]
  readonly accuracy: Validation["accuracy"]
  readonly samplesMs: { readonly plain: number[]; readonly sealed: number[] }
}

/**
 * Every row once for equality and accuracy, then again for timing until there are enough samples. Each batch goes to both,
 * in alternating order, so that whatever else the machine does hits both alike. Plain is timed inside the inference engine;
 * sealed is timed from here and back, so the process boundary counts as what sealing costs.
 */
async function compare(
  plain: RuntimeProcess,
  sealed: RuntimeProcess,
  opened: RuntimeProcess | null,
  feed: Feed,
  labels: NpyRows | null,
  job: JobContext,
): Promise<Outcome> {
  const samplesMs = { plain: [] as number[], sealed: [] as number[] }
  let identicalRows = 0
  let maxAbsoluteDifference = 0
  let scorers: { readonly plain: Scorer; readonly sealed: Scorer } | null | undefined
  const control = job.step("compare", feed.rows, "rows")
  const startedAt = performance.now()
  for (let call = 0, row = 0, pass = 0; ; call += 1) {
    const inputs = await feed.batchAt(row)
    const timed = await callBoth(plain, sealed, inputs, call % 2 === 0, job.signal)
    if (pass > 0 || call >= WARM_UP_CALLS) {
      samplesMs.plain.push(timed.plain.sessionMs)
      samplesMs.sealed.push(timed.sealedMs)
    }
    if (pass === 0) {
      const rows = Math.min(feed.batch, feed.rows - row)
      const reference = opened === null ? timed.plain : await opened.infer(inputs, job.signal)
      const compared = compareOutputs(reference.outputs, timed.sealed.outputs, rows)
      identicalRows += compared.identicalRows
      maxAbsoluteDifference = Math.max(maxAbsoluteDifference, compared.maxAbsoluteDifference)
      scorers ??= labels === null ? null : newScorers(timed.plain.outputs, labels)
      scorers?.plain.add(timed.plain.outputs)
      scorers?.sealed.add(timed.sealed.outputs)
    }
    const comparedRows = pass === 0 ? Math.min(row + feed.batch, feed.rows) : feed.rows
    control.progress(comparedRows, {
      calls: pass > 0 || call >= WARM_UP_CALLS ? [[timed.plain.sessionMs, timed.sealedMs]] : [],
      identicalRows,
      comparedRows,
    })
    row += feed.batch
    if (row < feed.rows) continue
    row = 0
    pass += 1
    const isEnough =
      samplesMs.plain.length >= MIN_TIMED_CALLS || performance.now() - startedAt > MAX_TIMING_MS
    if (isEnough && samplesMs.plain.length > 0) break
  }
  return {
    equality: {
      rows: feed.rows,
      identicalRows,
      maxAbsoluteDifference,
      comparedWith: opened === null ? "original" : "marked-copy",
    },
    accuracy: scorers
      ? {
          kind: scorers.plain.kind,
          plain: scorers.plain.score,
          sealed: scorers.sealed.score,
          agreement: scorers.plain.agreementWith(scorers.sealed),
        }
      : null,
    samplesMs,
  }
}

async function callBoth(
  plain: RuntimeProcess,
  sealed: RuntimeProcess,
  inputs: Parameters<RuntimeProcess["infer"]>[0],
  plainFirst: boolean,
  signal: AbortSignal,
) {
  const callSealed = async () => {
    const startedAt = performance.now()
    const result = await sealed.infer(inputs, signal)
    return { result, ms: performance.now() - startedAt }
  }
  if (plainFirst) {
    const first = await plain.infer(inputs, signal)
    const second = await callSealed()
    return { plain: first, sealed: second.result, sealedMs: second.ms }
  }
  const first = await callSealed()
  return { plain: await plain.infer(inputs, signal), sealed: first.result, sealedMs: first.ms }
}

function newScorers(outputs: Parameters<typeof Scorer.for>[0], labels: NpyRows) {
  const plain = Scorer.for(outputs, labels)
  const sealed = Scorer.for(outputs, labels)
  return plain === null || sealed === null ? null : { plain, sealed }
}

async function readLabels(files: Files, ref: Parameters<Files["open"]>[0], feed: Feed): Promise<NpyRows> {
  const file = await files.open(ref)
  try {
    const header = await readNpyHeader(file)
    const count = npyRowCount(header)
    if (count !== feed.rows) throw new AppError("INPUT_MISMATCH", `${count} labels for ${feed.rows} rows`)
    return await readNpyRows(file, header, 0, count)
  } finally {
    await file.close()
  }
}

async function digestOf(ports: Ports, ref: Parameters<Files["open"]>[0], job: JobContext): Promise<string> {
  const file = await ports.files.open(ref)
  try {
    return toHex(await ports.payload.digest(file.number, 0, file.size, job.step("hash data", file.size)))
  } finally {
    await file.close()
  }
}
