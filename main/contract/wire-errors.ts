import { ORPCError } from "@orpc/server"
import { toAppError } from "./errors.ts"

/** What a handler does, with everything it throws made an error that crosses the wire with its code and without its stack. */
export async function asWireErrors<T>(next: () => T | PromiseLike<T>): Promise<T> {
  try {
    return await next()
  } catch (error) {
    throw toWire(error)
  }
}

export function toWire(error: unknown): unknown {
  if (error instanceof ORPCError) return error
  const refusal = toAppError(error)
  return new ORPCError(refusal.code, { message: refusal.message, cause: error })
}
