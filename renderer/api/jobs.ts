/** Long work this window started: its progress, how it ended, and a way to stop it. */
import { followJob } from "../../main/contract/client.ts"
import type { JobEvent, Progress } from "../../main/contract/schema/base.ts"
import { desktop } from "./desktop.ts"
import { toFailure, type Failure } from "./failure.ts"
import { Store } from "./store.ts"

export interface WindowJob {
  readonly id: number
  readonly title: string
  readonly state: "running" | "done" | "failed" | "cancelled"
  readonly startedAt: number
  readonly endedAt: number | null
  readonly progress: Progress | null
  readonly failure: Failure | null
  readonly cancel: () => void
}

/** Newest first. */
export const jobs = new Store<readonly WindowJob[]>([])

const MAX_KEPT = 100
let nextId = 1

type Start<T> = (options: { readonly signal: AbortSignal }) => Promise<AsyncIterable<JobEvent<T>>>

/** Runs a job to its end. Throws its failure; the list keeps it too. */
export async function runJob<T>(
  title: string,
  start: Start<T>,
  onProgress: (progress: Progress) => void = () => {},
  abort = new AbortController(),
): Promise<T> {
  const id = nextId++
  const job: WindowJob = {
    id,
    title,
    state: "running",
    startedAt: Date.now(),
    endedAt: null,
    progress: null,
    failure: null,
    cancel: () => abort.abort(),
  }
  jobs.update((all) => [job, ...all].slice(0, MAX_KEPT))
  const change = (part: Partial<WindowJob>) => {
    jobs.update((all) => all.map((each) => (each.id === id ? { ...each, ...part } : each)))
    showInTaskbar()
  }
  try {
    abort.signal.throwIfAborted()
    const result = await followJob(await start({ signal: abort.signal }), (progress) => {
      change({ progress })
      onProgress(progress)
    })
    change({ state: "done", endedAt: Date.now() })
    if (document.hidden) desktop?.notify("Sealwright", `Finished: ${title}`)
    return result
  } catch (error) {
    const failure = toFailure(error)
    const isCancelled = abort.signal.aborted || failure.code === "CANCELLED"
    change({ state: isCancelled ? "cancelled" : "failed", endedAt: Date.now(), failure })
    if (document.hidden && !isCancelled) desktop?.notify("Sealwright", `Failed: ${title}. ${failure.message}`)
    throw error
  }
}

function showInTaskbar(): void {
  const running = jobs.value.find(({ state }) => state === "running")
  const progress = running?.progress ?? null
  const share = progress === null || progress.total === 0 ? 0 : progress.done / progress.total
  desktop?.showProgress(running === undefined ? null : share)
}
