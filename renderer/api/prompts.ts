/** Passphrases and PINs the engine asks for. Answers go straight back: they are in no store, no address and no list. */
import type { WaitingQuestion } from "../../main/contract/schema/prompts.ts"
import { connection } from "./connection.ts"
import { engineState } from "./engine-state.ts"
import { Store } from "./store.ts"

/** Oldest first. */
export const questions = new Store<readonly WaitingQuestion[]>([])

engineState.subscribe(() => {
  if (engineState.value?.state === "running") void follow()
  else questions.set([])
})

/** `answer` is a Blob so that it travels as bytes, never as the text of a message. */
export async function answerQuestion(id: string, answer: string | null): Promise<void> {
  // Others wait behind it; this one is settled for this window, whatever becomes of the answer.
  questions.update((all) => all.filter((each) => each.id !== id))
  await connection.client.prompts.answer({ id, answer: answer === null ? null : new Blob([answer]) })
}

async function follow(): Promise<void> {
  try {
    for await (const waiting of await connection.client.prompts.watch()) questions.set(waiting)
  } catch {
    // The engine is gone, and what it asked with it.
  }
  questions.set([])
}
