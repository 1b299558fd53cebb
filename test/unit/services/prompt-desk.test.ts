/** Questions for passphrases and PINs live no longer than the job that needs their answer. */
import { expect, test } from "vitest"
import { AppError } from "../../../main/contract/errors.ts"
import type { JobEvent } from "../../../main/contract/schema/base.ts"
import { jobScope } from "../../../main/platform/job-scope.ts"
import { Jobs } from "../../../main/services/jobs.ts"
import { PromptDesk } from "../../../main/services/prompt-desk.ts"

const QUESTION = { kind: "pin", subject: "token release-1", notice: null, isNew: false } as const

function desk() {
  const scope = jobScope()
  let byte = 0
  const prompts = new PromptDesk(
    { ask: async () => Promise.reject(new AppError("PROMPT_UNAVAILABLE", "nobody is there")) },
    (size) => new Uint8Array(size).fill((byte += 1)),
    scope,
  )
  const jobs = new Jobs(
    () => new Date(0),
    scope,
    () => {},
  )
  const watching = prompts.watch(undefined)
  const waiting = async () => (await watching.next()).value ?? []
  return { prompts, jobs, waiting }
}

async function lastOf(
  events: AsyncGenerator<JobEvent<unknown>, void>,
): Promise<JobEvent<unknown> | undefined> {
  let last: JobEvent<unknown> | undefined
  for await (const event of events) last = event
  return last
}

test("a question is taken back when its job is cancelled, and only its", async () => {
  const { prompts, jobs, waiting } = desk()
  expect(await waiting()).toEqual([])
  const cancelled = lastOf(jobs.start("sign", async () => prompts.ask(QUESTION)))
  expect(await waiting()).toHaveLength(1)
  const other = prompts.ask({ ...QUESTION, subject: "token release-2" })
  expect(await waiting()).toHaveLength(2)
  jobs.cancel("job-1")
  const [left, ...more] = await waiting()
  expect(more).toEqual([])
  expect(await cancelled).toMatchObject({ kind: "failed", failure: { code: "CANCELLED" } })
  prompts.answer(left?.id ?? "", Uint8Array.of(7))
  expect(await other).toEqual(Uint8Array.of(7))
})

test("a job that fails takes the questions of its other branches with it", async () => {
  const { prompts, jobs, waiting } = desk()
  expect(await waiting()).toEqual([])
  let fail: (error: Error) => void = () => {}
  const failing = new Promise<never>((_, reject) => (fail = reject))
  const asked = { code: "" }
  const ended = lastOf(
    jobs.start("protect", async () =>
      Promise.all([
        failing,
        prompts.ask(QUESTION).catch((error: unknown) => {
          asked.code = error instanceof AppError ? error.code : ""
        }),
      ]),
    ),
  )
  expect(await waiting()).toHaveLength(1)
  fail(new AppError("NO_SPACE", "the disk is full"))
  expect(await ended).toMatchObject({ kind: "failed", failure: { code: "NO_SPACE" } })
  expect(await waiting()).toEqual([])
  expect(asked.code).toBe("CANCELLED")
})

test("an answer reaches a job that still runs", async () => {
  const { prompts, jobs, waiting } = desk()
  expect(await waiting()).toEqual([])
  const ended = lastOf(jobs.start("sign", async () => [...(await prompts.ask(QUESTION))]))
  const [question] = await waiting()
  prompts.answer(question?.id ?? "", Uint8Array.of(1, 2, 3))
  expect(await ended).toMatchObject({ kind: "result", result: [1, 2, 3] })
})
