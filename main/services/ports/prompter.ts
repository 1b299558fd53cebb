/** Whoever can be asked for a passphrase or PIN: a person at a terminal, a file descriptor, or nobody. */
export interface Question {
  /** `passphrase` of a key file, `password` of an account, `pin` of a token, `auth` of a key in a TPM. */
  readonly kind: "passphrase" | "password" | "pin" | "auth"
  /** What it unlocks, for people. */
  readonly subject: string
  /** What they should know before they answer, such as tries left; null when there is nothing. */
  readonly notice: string | null
  /** Whether it is being chosen now: it is then asked for twice, and both answers must agree. */
  readonly isNew: boolean
}

export interface Prompter {
  /** The answer as UTF-8, never empty; the caller wipes it. Throws PROMPT_UNAVAILABLE, PROMPT_MISMATCH and CANCELLED. */
  ask(question: Question): Promise<Uint8Array>
}
