import { AppError, hintFor, toAppError, type ErrorCode } from "../../main/contract/errors.ts"

/** What went wrong, ready to be shown. */
export interface Failure {
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
}

/** Hints of the error table name commands; where a window has something better to say, it says that. */
const WINDOW_HINTS: Partial<Record<ErrorCode, string>> = {
  CANCELLED: "Nothing was left behind.",
  ENGINE_GONE: "It is being started again. Finished files are intact; start what was interrupted once more.",
  DEVICE_NOT_FOUND: "Add the device first, or choose another one.",
  KEY_NOT_FOUND: "Choose another key.",
  OUTPUT_EXISTS: "Choose another name.",
  INPUT_MISMATCH: "The model's Overview shows the names, types and shapes of its inputs.",
  VERDICT_REFUSED: "Open the package to see every check.",
}

export function toFailure(error: unknown): Failure {
  const { code, message } = toAppError(error)
  return { code, message: sentence(message), hint: WINDOW_HINTS[code] ?? hintFor(code) }
}

export function failureOf(code: ErrorCode, message: string): Failure {
  return toFailure(new AppError(code, message))
}

/** Messages of the engine are fragments in lower case; people read sentences. */
function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?…]$/.test(first) ? first : `${first}.`
}
