/** One comparison of a suspect with an original: which step it is at, and what came out. */
import type { FileRef, Progress } from "../../../main/contract/schema/base.ts"
import type { TraceResult } from "../../../main/contract/schema/trace.ts"
import { connection } from "../../api/connection.ts"
import { toFailure, type Failure } from "../../api/failure.ts"
import { runJob } from "../../api/jobs.ts"
import { Store } from "../../api/store.ts"
import { suspicion, type NamedFile } from "../../api/suspect.ts"
import type { StepLine } from "../../ui/step-bar.tsx"

export interface TraceRun {
  readonly suspect: NamedFile
  readonly steps: readonly StepLine[]
  readonly outcome: { readonly result: TraceResult; readonly report: FileRef } | null
  readonly failure: Failure | null
  readonly cancel: () => void
}

/** The newest comparison stays while the window is elsewhere: it may take minutes. */
export const traceRun = new Store<Store<TraceRun> | null>(null)

/** Another suspect puts a finished comparison away. */
suspicion.subscribe(() => {
  const run = traceRun.value?.value
  if (run === undefined || (run.outcome === null && run.failure === null)) return
  if (suspicion.value.suspect?.file !== run.suspect.file) traceRun.set(null)
})

/** Chance of accusing somebody innocent that is accepted, over all devices together. */
const LEVEL = 1e-6
/** More devices than a ledger of one model is likely to have: the plot shows all of them. */
const ALL_DEVICES = 100_000

const STEPS = ["read", "align", "score", "evidence"] as const
type StepId = (typeof STEPS)[number]
const TITLES: Readonly<Record<StepId, string>> = {
  read: "Read",
  align: "Align",
  score: "Score",
  evidence: "Evidence",
}

/** Begins at once; the store follows it to its end. */
export function startTrace(suspect: NamedFile, original: NamedFile | null): Store<TraceRun> {
  const abort = new AbortController()
  const store = new Store<TraceRun>({
    suspect,
    steps: STEPS.map((id) => ({
      id,
      title: TITLES[id],
      state: id === "read" ? "running" : "waiting",
      progress: null,
      note: "",
    })),
    outcome: null,
    failure: null,
    cancel: () => abort.abort(),
  })
  run(suspect, original, abort, (progress) =>
    store.update((now) => ({ ...now, steps: advance(now.steps, progress) })),
  ).then(
    (outcome) => store.update((now) => ({ ...now, outcome, steps: now.steps.map(toDone) })),
    (error: unknown) => {
      const failure = toFailure(error)
      store.update((now) => ({
        ...now,
        failure,
        steps: now.steps.map((step) =>
          step.state === "running"
            ? { ...step, state: "failed", progress: null, note: failure.message }
            : step,
        ),
      }))
    },
  )
  return store
}

async function run(
  suspect: NamedFile,
  original: NamedFile | null,
  abort: AbortController,
  onProgress: (progress: Progress) => void,
): Promise<NonNullable<TraceRun["outcome"]>> {
  const { client } = connection
  const name = `trace-${suspect.name.replace(/\.(onnx|ort)$/i, "")}`
  const report = await client.shell.newOutput({ name, kind: "report", from: suspect.file })
  const result = await runJob(
    `Trace ${suspect.name}`,
    async (options) =>
      client.trace(
        {
          suspect: suspect.file,
          original: original?.file ?? null,
          level: LEVEL,
          top: ALL_DEVICES,
          report: { file: report.file, replace: false },
        },
        options,
      ),
    onProgress,
    abort,
  )
  return { result, report: report.file }
}

/** A step of the engine's own belongs to one of ours, and ends those before it. */
function advance(steps: readonly StepLine[], progress: Progress): readonly StepLine[] {
  const now = STEPS.indexOf(stepOf(progress.step))
  return steps.map((step, index) =>
    index < now ? toDone(step) : index === now ? { ...step, state: "running", progress } : step,
  )
}

function stepOf(title: string): StepId {
  if (title.startsWith("compare weights")) return "align"
  if (title.startsWith("compare devices")) return "score"
  return "evidence"
}

function toDone(step: StepLine): StepLine {
  return { ...step, state: "done", progress: null, note: "" }
}
