/** Long work: watched through events, stopped by its caller's going away, by `cancel`, or by an abort signal. */
import { AppError, toAppError } from "../contract/errors.ts"
import type { Job, JobEvent, Live, Progress } from "../contract/schema/base.ts"
import type { JobControl, JobScope } from "./ports.ts"

/** What the work of a job sees. */
export interface JobContext {
  readonly signal: AbortSignal
  /** Starts a step of known size; returns the control to hand to whoever does it. */
  step(title: string, total: number, unit?: Progress["unit"]): JobControl
}

/** Finished jobs are kept for the activity list; the oldest go first. */
const MAX_KEPT = 200

export class Jobs {
  readonly #jobs = new Map<string, RunningJob>()
  readonly #now: () => Date
  readonly #scope: JobScope
  readonly #reportFault: (error: unknown) => void
  #nextId = 1

  constructor(now: () => Date, scope: JobScope, reportFault: (error: unknown) => void) {
    this.#now = now
    this.#scope = scope
    this.#reportFault = reportFault
  }

  /** Starts `work`; the stream yields `started`, progress, and one result or failure. Leaving the stream cancels the job. */
  async *start<T>(
    title: string,
    work: (context: JobContext) => Promise<T>,
    callerSignal?: AbortSignal,
  ): AsyncGenerator<JobEvent<T>, void> {
    const id = `job-${this.#nextId++}`
    const job = new RunningJob(id, title, this.#now().toISOString())
    this.#keep(job)
    const abort = () => job.cancel()
    callerSignal?.addEventListener("abort", abort, { once: true })
    if (callerSignal?.aborted === true) abort()
    const outcome = run(
      async () => this.#scope.run(job.signal, async () => work(job)),
      job,
      this.#reportFault,
    )
    try {
      yield { kind: "started", job: id }
      for (;;) {
        const next = await Promise.race([outcome, job.progressed()])
        if (next.kind === "progress") {
          yield next
          continue
        }
        const last = job.takeProgress()
        if (last !== null) yield last
        yield next
        return
      }
    } finally {
      callerSignal?.removeEventListener("abort", abort)
      // A caller that left early must not leave work behind; for a finished job this changes nothing.
      job.cancel()
      await outcome
    }
  }

  list(): readonly Job[] {
    return [...this.#jobs.values()].map((job) => job.describe())
  }

  cancel(id: string): Job {
    const job = this.#jobs.get(id)
    if (job === undefined) throw new AppError("USAGE", `there is no job ${id.slice(0, 40)}`)
    job.cancel()
    return job.describe()
  }

  #keep(job: RunningJob): void {
    this.#jobs.set(job.id, job)
    for (const [id, kept] of this.#jobs) {
      if (this.#jobs.size <= MAX_KEPT) break
      if (kept.state !== "running") this.#jobs.delete(id)
    }
  }
}

type Outcome<T> = Extract<JobEvent<T>, { readonly kind: "result" | "failed" }>

/** Never rejects: a failure is an event. */
async function run<T>(
  work: () => Promise<T>,
  job: RunningJob,
  reportFault: (error: unknown) => void,
): Promise<Outcome<T>> {
  try {
    const result = await work()
    job.state = "done"
    return { kind: "result", result }
  } catch (error) {
    // What was stopped on purpose is reported as that, however the work noticed.
    const failure = job.signal.aborted
      ? new AppError("CANCELLED", "the operation was cancelled")
      : toAppError(error)
    if (failure.code === "INTERNAL") reportFault(error)
    job.state = job.signal.aborted ? "cancelled" : "failed"
    return { kind: "failed", failure: { code: failure.code, message: failure.message } }
  }
}

class RunningJob implements JobContext {
  readonly id: string
  state: Job["state"] = "running"
  readonly #title: string
  readonly #startedAt: string
  readonly #abort = new AbortController()
  #latest: Progress | null = null
  #wake: (() => void) | null = null
  #isFresh = false

  constructor(id: string, title: string, startedAt: string) {
    this.id = id
    this.#title = title
    this.#startedAt = startedAt
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  cancel(): void {
    this.#abort.abort()
  }

  step(title: string, total: number, unit: Progress["unit"] = "bytes"): JobControl {
    const startedAt = performance.now()
    const report = (doneSoFar: number, live?: Live) => {
      // A total may be an estimate that leaves out a signature made on the way.
      const done = Math.min(doneSoFar, total)
      const seconds = (performance.now() - startedAt) / 1000
      const rate = seconds > 0 ? done / seconds : 0
      const etaSeconds = rate > 0 && total >= done ? (total - done) / rate : null
      const seen = live === undefined ? {} : { live: this.#withUnseen(live) }
      this.#latest = { kind: "progress", step: title, unit, done, total, rate, etaSeconds, ...seen }
      this.#isFresh = true
      this.#wake?.()
    }
    report(0)
    return { signal: this.signal, progress: report }
  }

  /** Older progress is of no use to anybody, but what a measurement saw in between is. */
  #withUnseen(live: Live): Live {
    const unseen = this.#isFresh ? (this.#latest?.live?.calls ?? []) : []
    return { ...live, calls: [...unseen, ...live.calls] }
  }

  /** The newest progress, once there is one the listener has not seen. Older ones are of no use to anybody. */
  async progressed(): Promise<Progress> {
    while (!this.#isFresh || this.#latest === null) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#isFresh = false
    return this.#latest
  }

  /** Progress nobody has seen yet, if there is any. */
  takeProgress(): Progress | null {
    if (!this.#isFresh) return null
    this.#isFresh = false
    return this.#latest
  }

  describe(): Job {
    return {
      job: this.id,
      title: this.#title,
      state: this.state,
      startedAt: this.#startedAt,
      progress: this.#latest,
    }
  }
}
