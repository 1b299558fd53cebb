/** A suspect that only answers: a command of the user's own that labels batches. */
import type { Tensor } from "../ports.ts"

export interface SuspectCommand {
  /** The class of every row. Throws SUSPECT_ANSWERS for an answer of another form, or when the command ends. */
  labels(input: Tensor): Promise<readonly number[]>
  close(): Promise<void>
}

export interface SuspectCommands {
  /** Starts `command` in the user's shell. */
  start(command: string): SuspectCommand
}
