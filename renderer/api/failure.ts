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
  MARK_ORIGINAL_MISSING:
    "Choose the model as it was before it was protected: the mark is read by comparing with it.",
  MARK_UNKNOWN: "This workspace never marked that model: choose the original it was protected from.",
  PROMPT_UNAVAILABLE: "Keep this window open and try again: it asks for what the key needs.",
  MARK_NOTHING:
    "Tensors shows why no weight can carry a mark. Protect it without one, or choose another model.",
  MARK_TOO_WEAK: "Give test data to measure on, allow a larger change of the outputs, or leave the mark out.",
  LEDGER_NOT_FOUND: "Protect a model with a mark: that makes the ledger.",
  REGISTRY_NOT_FOUND: "Check the name of the repository and the tag.",
  REGISTRY_UNREACHABLE: "Check the address and the network. What is queued goes as soon as it can.",
  REGISTRY_UNAUTHORIZED: "Connect to it again, with the right user name and password.",
  REGISTRY_TLS:
    "Its certificate is not trusted here. Ask its owner, or connect without TLS where that is acceptable.",
  CREDENTIALS_UNREADABLE: "Repair or remove the credential file of docker, or connect to the registry again.",
  RELEASE_CHANGED: "Read what changes again, then approve.",
  RELEASE_GATE: "The list of gates shows which is still closed, and what would open it.",
  RELEASE_EXISTS: "Choose another name: a release never changes.",
  RELEASE_NOT_FOUND: "Go back to the list of releases.",
  RING_NOT_FOUND: "Make the ring in Releases, Rings.",
  ROLE_MISSING: "Choose a key that has this role: Who may sign lists them.",
  TRUST_ABSENT: "Say who may release first, in Releases.",
  TRUST_INCOMPLETE: "Save the request for the other signers, and bring in their answers.",
  PACKAGE_NOT_FOR_DEVICE:
    "Protect the model for every device of the ring, and make a release of that package.",
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
