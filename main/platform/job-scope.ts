import { AsyncLocalStorage } from "node:async_hooks"
import type { JobScope } from "../services/ports.ts"

/** Follows a job through everything it awaits. */
export function jobScope(): JobScope {
  const signals = new AsyncLocalStorage<AbortSignal>()
  return { run: async (signal, work) => signals.run(signal, work), signal: () => signals.getStore() ?? null }
}
