/** The client's end of the contract, over any message port. */
import { createORPCClient, ORPCError } from "@orpc/client"
import { RPCLink, type SupportedMessagePort } from "@orpc/client/message-port"
import type { ContractRouterClient } from "@orpc/contract"
import type { clientContract, hostContract } from "./contract.ts"
import { AppError, isErrorCode } from "./errors.ts"
import type { JobEvent, Progress } from "./schema/base.ts"

/** What a host calls: everything. */
export type HostClient = ContractRouterClient<typeof hostContract>
/** What a user interface calls. */
export type EngineClient = ContractRouterClient<typeof clientContract>

/** A client over a port whose other end is served by `serveEngine`. */
export function connectEngine(port: SupportedMessagePort): HostClient {
  return createORPCClient(new RPCLink({ port, interceptors: [asAppErrors] }))
}

/** Makes refusals of the engine AppErrors again, whatever they crossed; a call that broke off unasked lost its engine. */
export async function asAppErrors<T>({
  next,
  signal,
}: {
  readonly next: () => Promise<T>
  readonly signal?: AbortSignal | undefined
}): Promise<T> {
  try {
    return await next()
  } catch (error) {
    const isLost = error instanceof Error && error.name === "AbortError" && signal?.aborted !== true
    throw isLost
      ? new AppError("ENGINE_GONE", "the engine ended before it answered", { cause: error })
      : fromWire(error)
  }
}

/**
 * Follows a job to its end: calls back for every progress event, returns the result, throws the failure as an AppError.
 * Aborting the signal given to the call cancels the job.
 */
export async function followJob<T>(
  events: AsyncIterable<JobEvent<T>>,
  onProgress: (progress: Progress) => void = () => {},
): Promise<T> {
  try {
    for await (const event of events) {
      if (event.kind === "progress") onProgress(event)
      if (event.kind === "result") return event.result
      if (event.kind === "failed") throw new AppError(event.failure.code, event.failure.message)
    }
  } catch (error) {
    throw fromWire(error)
  }
  throw new AppError("ENGINE_GONE", "the engine ended before the job did")
}

function fromWire(error: unknown): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error
  if (error instanceof ORPCError) {
    const code: unknown = error.code
    if (typeof code === "string" && isErrorCode(code)) return new AppError(code, error.message)
    if (code === "BAD_REQUEST")
      return new AppError("USAGE", "the request does not have the form the engine expects")
    return new AppError("INTERNAL", "the engine failed")
  }
  return error
}
