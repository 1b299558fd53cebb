/** A prompter that answers from a list, and keeps what it was asked. */
import { AppError } from "../../main/contract/errors.ts"
import type { Prompter, Question } from "../../main/services/ports/prompter.ts"

export interface ScriptedPrompter extends Prompter {
  readonly asked: readonly Question[]
}

export function scriptedPrompter(...answers: readonly string[]): ScriptedPrompter {
  const asked: Question[] = []
  return {
    asked,
    ask: async (question) => {
      const answer = answers[asked.push(question) - 1]
      if (answer === undefined) throw new AppError("PROMPT_UNAVAILABLE", `no answer for ${question.subject}`)
      return new TextEncoder().encode(answer)
    },
  }
}
