import { expect } from "vitest"
import { AppError, type ErrorCode } from "../../main/contract/errors.ts"

expect.extend({
  /** Holds when the function throws, or the promise rejects with, an AppError of this code. */
  async toFailWithCode(received: unknown, code: ErrorCode) {
    const thrown = await outcomeOf(received)
    const seen =
      thrown instanceof AppError
        ? thrown.code
        : thrown instanceof Error
          ? `${thrown.name}: ${thrown.message}`
          : thrown
    return {
      pass: thrown instanceof AppError && thrown.code === code,
      message: () => `expected failure ${code}, got ${String(seen)}`,
    }
  },
})

declare module "vitest" {
  // Vitest merges matchers through this interface; its own parameters must be repeated to the letter.
  interface Matchers<R extends void | Promise<void> = void | Promise<void>, T = unknown> {
    toFailWithCode(code: ErrorCode): Promise<void>
  }
}

async function outcomeOf(received: unknown): Promise<unknown> {
  try {
    await (typeof received === "function" ? received() : received)
    return "no failure"
  } catch (error) {
    return error
  }
}
