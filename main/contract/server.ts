/** The engine's end of the contract. */
import { createRouterClient, implement, ORPCError, type Router } from "@orpc/server"
import { RPCHandler } from "@orpc/server/message-port"
import type { SupportedMessagePort } from "@orpc/client/message-port"
import { asAppErrors, type HostClient } from "./client.ts"
import { hostContract } from "./contract.ts"
import { toAppError } from "./errors.ts"

/** Builds the router; a missing or extra handler does not compile. */
export const engineRouter = implement(hostContract).use(async ({ next }) => {
  try {
    return await next()
  } catch (error) {
    if (error instanceof ORPCError) throw error
    const refusal = toAppError(error)
    throw new ORPCError(refusal.code, { message: refusal.message, cause: error })
  }
})

export type EngineRouter = Router<typeof hostContract, object>

/** Serves the engine to the other end of `port` until it closes; calls still running are then aborted. */
export function serveEngine(router: EngineRouter, port: SupportedMessagePort): void {
  new RPCHandler(router).upgrade(port, { context: {} })
}

/** The engine in this process, as a client sees it: same validation, same errors, no serialisation. */
export function localEngine(router: EngineRouter): HostClient {
  return createRouterClient(router, { context: {}, interceptors: [asAppErrors] })
}
