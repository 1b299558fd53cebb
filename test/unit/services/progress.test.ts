/** How fast a transfer is and how long it will take: in the events of a job, and on the line a terminal shows. */
import { expect, test, vi } from "vitest"
import { ProgressBar } from "../../../main/cli/progress.ts"
import type { Progress } from "../../../main/contract/schema/base.ts"
import { jobScope } from "../../../main/platform/job-scope.ts"
import { Jobs } from "../../../main/services/jobs.ts"

test("a job tells rate and time left from what was done since its step began", async () => {
  vi.useFakeTimers({ toFake: ["performance"] })
  try {
    const jobs = new Jobs(
      () => new Date(0),
      jobScope(),
      () => {},
    )
    const seen: Progress[] = []
    const events = jobs.start("push", async (job) => {
      vi.advanceTimersByTime(5_000) // what came before the step does not count
      const control = job.step("push model.seal", 100e6)
      vi.advanceTimersByTime(2_000)
      control.progress(25e6)
      return "done"
    })
    for await (const event of events) if (event.kind === "progress") seen.push(event)
    expect(seen.at(-1)).toMatchObject({ done: 25e6, total: 100e6, rate: 12.5e6, etaSeconds: 6 })
  } finally {
    vi.useRealTimers()
  }
})

test("a terminal shows both on one line, and a log only that a step began", () => {
  const progress: Progress = {
    kind: "progress",
    step: "push model.seal",
    unit: "bytes",
    done: 25e6,
    total: 100e6,
    rate: 12.5e6,
    etaSeconds: 6,
  }
  const written = (isTTY: boolean) => {
    let text = ""
    const stream = { isTTY, columns: 120, write: (some: string) => ((text += some), true) }
    // Of a terminal's stream the bar uses exactly these.
    const bar = new ProgressBar(stream as unknown as NodeJS.WriteStream)
    bar.show(progress)
    bar.show({ ...progress, done: 50e6, etaSeconds: null })
    return text
  }
  expect(written(true)).toContain("25 %  12.5 MB/s, 6.0 s left")
  expect(written(false)).toBe("push model.seal…\n")
})
