/** Trying again: only what may help, with waits that grow, differ between clients, and respect what the registry asks. */
import { setTimeout as delay } from "node:timers/promises"
import { AppError, toAppError } from "../../contract/errors.ts"
import { NetworkFailure } from "./http.ts"

export interface RetryPolicy {
  /** Attempts in a row without any progress. */
  readonly attempts: number
  readonly baseMs: number
  /** The longest wait; a registry that asks for a longer one is given up. */
  readonly capMs: number
}

/** Outlasts a registry that restarts, and an overloaded one that asks for half a minute. */
export const PATIENT: RetryPolicy = { attempts: 9, baseMs: 200, capMs: 30_000 }

/** The other end cannot serve now, but may soon. */
export class TryLater extends AppError {
  /** What the registry asked for, or `null`. */
  readonly afterMs: number | null

  constructor(code: ConstructorParameters<typeof AppError>[0], message: string, afterMs: number | null) {
    super(code, message)
    this.afterMs = afterMs
  }
}

/**
 * Runs `action` until it succeeds, fails for good, or has failed `attempts` times without progress between. `action` calls
 * `progressed` whenever it has got further than ever before.
 */
export async function withRetries<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  action: (progressed: () => void) => Promise<T>,
): Promise<T> {
  for (let failures = 0; ;) {
    try {
      return await action(() => {
        failures = 0
      })
    } catch (error) {
      if (signal.aborted) throw toAppError(signal.reason)
      failures += 1
      if (failures >= policy.attempts || !mayHelp(error, policy)) throw error
      await delay(waitMs(policy, failures, error), undefined, { signal })
    }
  }
}

function mayHelp(error: unknown, policy: RetryPolicy): boolean {
  if (error instanceof TryLater) return (error.afterMs ?? 0) <= policy.capMs
  return error instanceof NetworkFailure
}

/** Exponential with full jitter, so that clients that failed together do not come back together. */
function waitMs(policy: RetryPolicy, failures: number, error: unknown): number {
  const grown = Math.min(policy.capMs, policy.baseMs * 2 ** (failures - 1))
  const asked = error instanceof TryLater ? (error.afterMs ?? 0) : 0
  return asked + grown * Math.random()
}

/** `Retry-After` in seconds or as a date (RFC 9110 10.2.3), milliseconds from `now`; `null` when there is none that makes sense. */
export function parseRetryAfter(text: string | null, now: Date): number | null {
  if (text === null) return null
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : Math.max(0, at - now.getTime())
}
