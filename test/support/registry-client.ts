/** Our client with the patience of a test, against any registry. */
import { localFiles } from "../../main/platform/files.ts"
import type { Credential } from "../../main/platform/registry/credentials.ts"
import { registries, type RegistrySettings } from "../../main/platform/registry/registries.ts"
import type { TokenServers } from "../../main/platform/registry/token-servers.ts"
import type { Repository } from "../../main/services/ports/registry.ts"
import { onTestFinished } from "vitest"

export interface ClientOptions {
  readonly credential?: Credential
  readonly environment?: NodeJS.ProcessEnv
  readonly authority?: string | null
  readonly plainHttp?: boolean
  readonly patience?: RegistrySettings["patience"]
  readonly signal?: AbortSignal
  /** Nothing is remembered without. */
  readonly tokenServers?: TokenServers
}

/** Retries come at once. Silence is allowed for: a busy computer is silent too. */
const IMPATIENT = {
  retry: { attempts: 4, baseMs: 1, capMs: 1000 },
  idleMs: 20_000,
  documentMs: 20_000,
} as const

export function openRemote(repository: string, options: ClientOptions = {}): Repository {
  const files = localFiles()
  const { credential = null, environment = {}, authority = null, plainHttp = true } = options
  const all = registries({
    pathOf: files.pathOf,
    credentials: { find: async () => credential },
    tokenServers: options.tokenServers ?? { find: async () => null, keep: async () => {} },
    environment,
    now: () => new Date(),
    patience: { ...IMPATIENT, ...options.patience },
  })
  onTestFinished(() => all.close())
  return all.open(
    {
      kind: "remote",
      repository,
      plainHttp,
      authority: authority === null ? null : files.refer(authority),
    },
    options.signal ?? new AbortController().signal,
  )
}
