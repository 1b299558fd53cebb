/** What serving a model needs from the world: memory of rows used, an audit log, and processes that stay. */
import type { Served, StartRuntime } from "../../contract/schema/serving.ts"
import type { AuditRecord } from "../../core/policy/firewall/firewall.ts"

/** Rows used under each grant, by its digest. Survives crashes in the grant's disfavour: rows are never given back. */
export interface RunBudgets {
  /** Rows used so far; from now on this process alone counts under the grant. Throws RUNTIME_BUSY when another one does. */
  claim(grant: string): Promise<number>
  /** Makes sure that at least `rows` count as used before it returns. */
  spend(grant: string, rows: number): Promise<void>
  /** Writes the exact number and gives up the claim, when a runtime ends in good order. */
  settle(grant: string, rows: number): Promise<void>
}

/** The local audit log. */
export interface AuditLog {
  append(record: AuditRecord & { readonly grant: string }): void
  /** Resolves when everything appended so far is with the operating system. */
  flush(): Promise<void>
}

/** Processes that serve a model to local clients. */
export interface ServedRuntimes {
  /** Resolves when it answers. Throws what loading the model throws. */
  start(request: StartRuntime, signal: AbortSignal): Promise<Served>
  /** Those of this workspace that are alive. */
  list(): Promise<readonly Served[]>
  /** Throws RUNTIME_NOT_FOUND. Resolves when the process has ended. */
  stop(id: string): Promise<Served>
  /** Forgets what was noticed about a client. Throws RUNTIME_NOT_FOUND, CLIENT_UNKNOWN. */
  clear(id: string, client: string): Promise<Served>
}
