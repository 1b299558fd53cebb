import type { FileRef, Progress } from "../../../main/contract/schema/base.ts"
import type { PackageEntry } from "../../../main/contract/schema/library.ts"
import type { Validated } from "../../../main/contract/schema/validate.ts"
import { connection } from "../../api/connection.ts"
import { toFailure, type Failure } from "../../api/failure.ts"
import { runJob } from "../../api/jobs.ts"
import type { OpenModel } from "../../api/open-models.ts"
import { Store } from "../../api/store.ts"
import type { Calls } from "../../ui/latency-chart.tsx"

export interface ValidationRun {
  readonly progress: Progress | null
  readonly calls: Calls
  readonly identicalRows: number
  readonly comparedRows: number
  readonly result: { readonly validated: Validated; readonly report: FileRef } | null
  readonly failure: Failure | null
  readonly cancel: () => void
}

export interface ValidationChoice {
  readonly entry: PackageEntry
  readonly model: OpenModel
  readonly device: string
  /** Limits the result has to keep; null asks for identical outputs alone. */
  readonly gate: FileRef | null
  /** The key that signs the result into the package; null signs nothing. */
  readonly signingKey: string | null
}

/** Begins at once; the store follows it to its end. */
export function startValidation(choice: ValidationChoice): Store<ValidationRun> {
  const abort = new AbortController()
  const store = new Store<ValidationRun>({
    progress: null,
    calls: [],
    identicalRows: 0,
    comparedRows: 0,
    result: null,
    failure: null,
    cancel: () => abort.abort(),
  })
  run(choice, abort, store).then(
    (result) => store.update((now) => ({ ...now, result })),
    (error: unknown) => store.update((now) => ({ ...now, failure: toFailure(error) })),
  )
  return store
}

async function run(
  { entry, model, device, gate, signingKey }: ValidationChoice,
  abort: AbortController,
  store: Store<ValidationRun>,
): Promise<NonNullable<ValidationRun["result"]>> {
  const { client } = connection
  const name = entry.name.replace(/\.seal$/i, "")
  const report = await client.shell.newOutput({ name, kind: "report", from: entry.file })
  const validated = await runJob(
    `Validate ${entry.name}`,
    async (options) =>
      client.validate(
        {
          file: entry.file,
          device,
          trust: null,
          model: model.file,
          data: model.data?.file ?? null,
          labels: model.data === null ? null : (model.labels?.file ?? null),
          normalise: model.normalise,
          batch: 1,
          gate,
          sign: signingKey === null ? null : { key: signingKey },
          report: { file: report.file, replace: false },
        },
        options,
      ),
    (progress) => store.update((now) => withProgress(now, progress)),
    abort,
  )
  return { validated, report: report.file }
}

function withProgress(now: ValidationRun, progress: Progress): ValidationRun {
  const { live } = progress
  if (live === undefined) return { ...now, progress }
  return {
    ...now,
    progress,
    calls: [...now.calls, ...live.calls],
    identicalRows: live.identicalRows,
    comparedRows: live.comparedRows,
  }
}
