/** The engine's end of the contract. */
import { createRouterClient, implement, type Router } from "@orpc/server"
import { RPCHandler } from "@orpc/server/message-port"
import type { SupportedMessagePort } from "@orpc/client/message-port"
import { asAppErrors, type HostClient } from "./client.ts"
import { hostContract } from "./contract.ts"
import { asWireErrors } from "./wire-errors.ts"

/** Builds the router; a missing or extra handler does not compile. */
export const engineRouter = implement(hostContract).use(async ({ next }) => asWireErrors(next))

export type EngineRouter = Router<typeof hostContract, object>

/** Serves the engine to the other end of `port` until it closes; calls still running are then aborted. */
export function serveEngine(router: EngineRouter, port: SupportedMessagePort): void {
  new RPCHandler(router).upgrade(port, { context: {} })
}

/** The engine in this process, as a client sees it: same validation, same errors, no serialisation. */
export function localEngine(router: EngineRouter): HostClient {
  return createRouterClient(router, { context: {}, interceptors: [asAppErrors] })
}
