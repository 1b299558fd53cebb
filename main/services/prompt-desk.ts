/** Where questions of the engine wait for the windows that can answer them. */
import { AppError } from "../contract/errors.ts"
import type { WaitingQuestion } from "../contract/schema/prompts.ts"
import { toHex, wipe } from "../core/bytes/bytes.ts"
import type { Random } from "../core/age/recipient.ts"
import type { JobScope } from "./ports.ts"
import type { Prompter, Question } from "./ports/prompter.ts"

interface Waiting {
  readonly question: WaitingQuestion
  readonly settle: (answer: Uint8Array | AppError) => void
}

/**
 * Asks whoever watches; all windows belong to one user, and the first answer counts. With nobody watching the question goes
 * to `otherwise`. A question ends with the job that asked it: nobody is asked for a PIN nothing needs any more. Answers pass through to whoever asked: they are neither kept nor copied here.
 */
export class PromptDesk implements Prompter {
  readonly #otherwise: Prompter
  readonly #random: Random
  readonly #scope: Pick<JobScope, "signal">
  readonly #waiting = new Map<string, Waiting>()
  readonly #watchers = new Set<() => void>()

  constructor(otherwise: Prompter, random: Random, scope: Pick<JobScope, "signal">) {
    this.#otherwise = otherwise
    this.#scope = scope
    this.#random = random
  }

  async ask(question: Question): Promise<Uint8Array> {
    if (this.#watchers.size === 0) return this.#otherwise.ask(question)
    const id = toHex(this.#random(16))
    const signal = this.#scope.signal()
    const gone = () => new AppError("CANCELLED", "what asked has ended")
    if (signal?.aborted === true) throw gone()
    return new Promise((resolve, reject) => {
      const end = () => settle(gone())
      const settle = (answer: Uint8Array | AppError) => {
        signal?.removeEventListener("abort", end)
        this.#waiting.delete(id)
        this.#tell()
        if (answer instanceof AppError) reject(answer)
        else resolve(answer)
      }
      signal?.addEventListener("abort", end, { once: true })
      this.#waiting.set(id, { question: { id, ...question }, settle })
      this.#tell()
    })
  }

  /** The questions that wait, now and at every change. When the last watcher leaves, they can no longer be answered. */
  async *watch(signal: AbortSignal | undefined): AsyncGenerator<WaitingQuestion[], void> {
    let wake = () => {}
    let isFresh = true
    const isLeft = () => !this.#watchers.has(listener)
    const listener = () => {
      isFresh = true
      wake()
    }
    // At once, not when the stream is asked for its next event: nobody may do that any more.
    const leave = () => {
      if (this.#watchers.delete(listener) && this.#watchers.size === 0) this.#abandon()
      wake()
    }
    this.#watchers.add(listener)
    signal?.addEventListener("abort", leave)
    try {
      while (!isLeft()) {
        if (isFresh) {
          isFresh = false
          yield [...this.#waiting.values()].map(({ question }) => question)
          continue
        }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      signal?.removeEventListener("abort", leave)
      leave()
    }
  }

  /** Takes over `answer`; null ends what asked with CANCELLED. An answer that comes too late is wiped and changes nothing. */
  answer(id: string, answer: Uint8Array | null): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) {
      if (answer !== null) wipe(answer)
      return
    }
    waiting.settle(answer ?? new AppError("CANCELLED", "the question was not answered"))
  }

  #abandon(): void {
    for (const { question, settle } of this.#waiting.values())
      settle(
        new AppError("PROMPT_UNAVAILABLE", `the window that was asked about ${question.subject} was closed`),
      )
  }

  #tell(): void {
    for (const listener of this.#watchers) listener()
  }
}
