/** What a host serves to its windows: the engine's client contract, call by call passed on, and its own part of it. */
import { isContractProcedure, type AnyContractRouter } from "@orpc/contract"
import { implement, type Router } from "@orpc/server"
import type { z } from "zod"
import type { EngineClient } from "./client.ts"
import { clientContract } from "./contract.ts"
import type {
  AboutHost,
  EngineState,
  fetchResultSchema,
  fetchSchema,
  newOutputResultSchema,
  newOutputSchema,
  uploadSchema,
} from "./schema/shell.ts"
import { windowContract } from "./window.ts"
import { AppError } from "./errors.ts"
import { asWireErrors, toWire } from "./wire-errors.ts"

/** A host's own part of the contract. */
export interface Shell {
  about(): AboutHost
  watch(signal: AbortSignal | undefined): AsyncGenerator<EngineState, void>
  upload(request: z.infer<typeof uploadSchema>): Promise<string[]>
  newOutput(request: z.infer<typeof newOutputSchema>): Promise<z.infer<typeof newOutputResultSchema>>
  fetch(request: z.infer<typeof fetchSchema>): Promise<z.infer<typeof fetchResultSchema>>
}

export type WindowRouter = Router<typeof windowContract, object>

/**
 * A router over `windowContract` and nothing else: what only a host may ask cannot be reached through it. Requests are
 * validated here before they go on, and answers on the way back. `engine` gives the engine of the moment, so that one that
 * was started anew is found.
 */
export function windowRouter(engine: () => EngineClient, shell: Shell): WindowRouter {
  const os = implement(windowContract).use(async ({ next }) => asWireErrors(next))
  return os.router({
    // Built leaf by leaf from the contract, so it has the contract's shape.
    ...(forward(clientContract, os, engine) as Omit<Parameters<typeof os.router>[0], "shell">),
    shell: {
      about: os.shell.about.handler(() => shell.about()),
      watch: os.shell.watch.handler(({ signal }) => shell.watch(signal)),
      upload: os.shell.upload.handler(async ({ input }) => shell.upload(input)),
      newOutput: os.shell.newOutput.handler(async ({ input }) => shell.newOutput(input)),
      fetch: os.shell.fetch.handler(async ({ input }) => shell.fetch(input)),
    },
  })
}

type Call = (input: unknown, options: { readonly signal?: AbortSignal | undefined }) => unknown
interface Builder {
  handler(handle: (options: { readonly input: unknown; readonly signal?: AbortSignal }) => unknown): unknown
}

/** Walks contract, builder and client in step: all three have the contract's shape. */
function forward(contract: AnyContractRouter, builder: object, client: () => object): unknown {
  if (isContractProcedure(contract)) {
    return (builder as Builder).handler(async ({ input, signal }) => {
      const answer = await (client() as Call)(input, { signal })
      return isEvents(answer) ? relay(answer, signal) : answer
    })
  }
  return Object.fromEntries(
    Object.entries(contract).map(([name, part]) => [
      name,
      forward(part, Reflect.get(builder, name) as object, () => Reflect.get(client(), name) as object),
    ]),
  )
}

/** Passes events on. A stream that breaks off while nobody asked for that has lost its engine. */
async function* relay(events: AsyncIterable<unknown>, signal: AbortSignal | undefined) {
  try {
    yield* events
  } catch (error) {
    const isLost = error instanceof Error && error.name === "AbortError" && signal?.aborted !== true
    throw isLost ? toWire(new AppError("ENGINE_GONE", "the engine ended before the job did")) : toWire(error)
  }
}

function isEvents(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value
}
