import { AppError } from "../../contract/errors.ts"
import type { Prompter, Question } from "../../services/ports/prompter.ts"
import { descriptorPrompter } from "./descriptor.ts"
import { terminalPrompter } from "./terminal.ts"

/** Nobody is there to ask. */
export const noPrompter: Prompter = {
  ask: async ({ kind, subject }) => {
    throw new AppError("PROMPT_UNAVAILABLE", `the ${kind} for ${subject} is needed and nobody can be asked`)
  },
}

/**
 * Descriptors where they are given, otherwise the terminal unless `isInteractive` forbids it. Passwords of
 * accounts and authorisation values of keys in a TPM come from the passphrases' descriptor.
 */
export function choosePrompter(options: {
  readonly passphraseFd: number | null
  readonly pinFd: number | null
  readonly isInteractive: boolean
}): Prompter {
  const of = (descriptor: number | null): (() => Prompter) => {
    if (descriptor !== null) {
      const given = descriptorPrompter(descriptor)
      return () => given
    }
    let found: Prompter | undefined
    // Looked for at the first question: most commands ask none.
    return () => (found ??= (options.isInteractive ? terminalPrompter() : null) ?? noPrompter)
  }
  const passphrases = of(options.passphraseFd)
  const pins = of(options.pinFd)
  const all: Record<Question["kind"], () => Prompter> = {
    passphrase: passphrases,
    password: passphrases,
    auth: passphrases,
    pin: pins,
  }
  return { ask: async (question) => all[question.kind]().ask(question) }
}
