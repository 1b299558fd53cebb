/** All a window can ask: what a user interface may ask of the engine, and what the window's host does for it. */
import { eventIterator, oc } from "@orpc/contract"
import type { ContractRouterClient } from "@orpc/contract"
import { clientContract } from "./contract.ts"
import {
  aboutHostSchema,
  engineStateSchema,
  fetchResultSchema,
  fetchSchema,
  newOutputResultSchema,
  newOutputSchema,
  uploadSchema,
  uploadTicketsSchema,
} from "./schema/shell.ts"

const shellContract = {
  about: oc.output(aboutHostSchema),
  /** The engine's state now and whenever it changes. */
  watch: oc.output(eventIterator(engineStateSchema)),
  upload: oc.input(uploadSchema).output(uploadTicketsSchema),
  /** A reference for a result that does not exist yet, under a name that is free. */
  newOutput: oc.input(newOutputSchema).output(newOutputResultSchema),
  fetch: oc.input(fetchSchema).output(fetchResultSchema),
}

export const windowContract = { ...clientContract, shell: shellContract }
export type WindowClient = ContractRouterClient<typeof windowContract>
