/** Whether the engine runs, as its host tells it. */
import type { EngineState } from "../../main/contract/schema/shell.ts"
import { connection } from "./connection.ts"
import { queryClient } from "./queries.ts"
import { Store } from "./store.ts"

/** null while there is no connection to ask over. */
export const engineState = new Store<EngineState | null>(null)

connection.subscribe(() => {
  if (connection.state === "open") void follow()
  else engineState.set(null)
})

async function follow(): Promise<void> {
  try {
    for await (const state of await connection.client.shell.watch()) {
      const hadEnded = engineState.value !== null && engineState.value.state !== "running"
      engineState.set(state)
      // What was shown came from an engine that is gone.
      if (hadEnded && state.state === "running") await queryClient.invalidateQueries()
    }
  } catch {
    // The connection is gone, which is seen by the connection itself.
  }
}
