/** Questions of the engine reach the windows that watch, over every transport. */
import path from "node:path"
import { afterEach, describe, expect, test } from "vitest"
import type { HostClient } from "../../../main/contract/client.ts"
import type { WaitingQuestion } from "../../../main/contract/schema/prompts.ts"
import { TRANSPORTS } from "../../support/engines.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

describe.each(TRANSPORTS)("an engine $name", ({ open }) => {
  const start = (): HostClient => {
    const { engine, close } = open(path.join(temporaryFolder(), "workspace"))
    closing.push(close)
    return engine
  }
  const lockedKey = async (engine: HostClient) =>
    engine.keys.create({
      name: "alice",
      purpose: "signing",
      place: { provider: "software", passphrase: true },
    })

  test("asks whoever watches, and takes the first answer", async () => {
    const engine = start()
    const first = await watch(engine)
    const second = await watch(engine)
    const making = lockedKey(engine)
    const question = await first.next()
    expect(question).toMatchObject({ kind: "passphrase", isNew: true })
    expect((await second.next())?.id).toBe(question?.id)
    await engine.prompts.answer({ id: question?.id ?? "", answer: new Blob(["žluťoučký kůň"]) })
    expect(await making).toMatchObject({ name: "alice", unlock: "passphrase" })
    await engine.prompts.answer({ id: question?.id ?? "", answer: new Blob(["too late"]) })
    expect(await first.next()).toBeNull()
  })

  test("ends what asked when the question is left, and refuses an empty answer", async () => {
    const engine = start()
    const window = await watch(engine)
    const making = lockedKey(engine)
    const id = (await window.next())?.id ?? ""
    await expect(engine.prompts.answer({ id, answer: new Blob([]) })).toFailWithCode("USAGE")
    await engine.prompts.answer({ id, answer: null })
    await expect(making).toFailWithCode("CANCELLED")
    expect(await engine.keys.list()).toEqual([])
  })

  test("can ask nobody once the last window is closed", async () => {
    const engine = start()
    const window = await watch(engine)
    const making = lockedKey(engine)
    await window.next()
    window.close()
    await expect(making).toFailWithCode("PROMPT_UNAVAILABLE")
    await expect(lockedKey(engine)).toFailWithCode("PROMPT_UNAVAILABLE")
  })
})

/** A window's eye on the questions: the oldest that waits, at every change. */
async function watch(engine: HostClient) {
  const abort = new AbortController()
  const events = await engine.prompts.watch(undefined, { signal: abort.signal })
  const iterator = events[Symbol.asyncIterator]()
  await iterator.next() // nothing waits yet
  return {
    next: async (): Promise<WaitingQuestion | null> => {
      const { value }: IteratorResult<WaitingQuestion[], unknown> = await iterator.next()
      return Array.isArray(value) ? (value[0] ?? null) : null
    },
    close: () => abort.abort(),
  }
}
