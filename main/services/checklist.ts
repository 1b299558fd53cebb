import { toAppError } from "../contract/errors.ts"
import type { Check } from "../contract/schema/verify.ts"

/** What a check found out, in words, and what later checks need from it. */
export interface Finding<T> {
  readonly reason: string
  readonly value: T
}

/**
 * Checks in the order of docs/FORMAT.md 8. After the first that fails the rest are listed as skipped: they would judge things
 * that are already known not to be genuine.
 */
export class Checklist {
  readonly checks: Check[] = []

  get hasFailed(): boolean {
    return this.checks.some((check) => check.result === "failed")
  }

  /** Runs one check and returns what it found, or `null` when it failed or an earlier one did. Cancellation is passed on. */
  async check<T>(
    id: string,
    section: string,
    title: string,
    action: () => Promise<Finding<T>>,
  ): Promise<T | null> {
    if (this.hasFailed) {
      this.skip(id, section, title, "an earlier check failed")
      return null
    }
    try {
      const { reason, value } = await action()
      this.checks.push({ id, section, title, result: "passed", code: null, reason })
      return value
    } catch (error) {
      const refusal = toAppError(error)
      // "I could not check" is an error; only what the package is at fault for is a verdict.
      if (NOT_A_VERDICT.has(refusal.code)) throw error
      this.checks.push({ id, section, title, result: "failed", code: refusal.code, reason: refusal.message })
      return null
    }
  }

  skip(id: string, section: string, title: string, reason: string): void {
    this.checks.push({ id, section, title, result: "skipped", code: null, reason })
  }
}

const NOT_A_VERDICT: ReadonlySet<string> = new Set([
  "INTERNAL",
  "CANCELLED",
  "FILE_UNREADABLE",
  "FILE_CHANGED",
  "KEY_UNREADABLE",
  "DEVICE_KEY_ABSENT",
  "WORKSPACE_UNUSABLE",
])
