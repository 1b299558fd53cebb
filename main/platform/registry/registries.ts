/** Repositories by place: a folder, or a registry reached over one session a host. */
import { readFile } from "node:fs/promises"
import path from "node:path"
import type { FileRef } from "../../contract/schema/base.ts"
import type { RegistryHost } from "../../contract/schema/registry.ts"
import { parseReference } from "../../core/oci/reference.ts"
import type { Registries } from "../../services/ports/registry.ts"
import { readError } from "../files.ts"
import type { CredentialSource } from "./credentials.ts"
import { HTTP_DEFAULTS } from "./http.ts"
import { LayoutFolder } from "./layout-folder.ts"
import { RemoteRepository } from "./remote-repository.ts"
import { PATIENT } from "./retry.ts"
import type { TokenServers } from "./token-servers.ts"
import { RegistrySession, type SessionSettings } from "./session.ts"

export interface RegistrySettings {
  readonly pathOf: (file: FileRef) => string
  /** Certificates (PEM) the workspace trusts for a host; none unless given. */
  readonly authorityOf?: (host: string) => Promise<Uint8Array | null>
  readonly credentials: CredentialSource
  readonly tokenServers: TokenServers
  readonly environment: NodeJS.ProcessEnv
  readonly now: () => Date
  /** Patience and retries, where they differ from the usual. */
  readonly patience?: Partial<Pick<SessionSettings, "retry" | "idleMs" | "documentMs">>
}

/** `connect` opens a session of its own, which its caller closes; `close` ends all others. */
export function registries(settings: RegistrySettings): Registries & {
  readonly connect: (host: RegistryHost, credentials: CredentialSource) => RegistrySession
  readonly close: () => void
} {
  const sessions = new Map<string, { readonly host: string; readonly session: RegistrySession }>()
  const connect = (
    { host, plainHttp, authority }: RegistryHost,
    credentials: CredentialSource,
  ): RegistrySession =>
    new RegistrySession(host, plainHttp, {
      ...HTTP_DEFAULTS,
      retry: PATIENT,
      ...settings.patience,
      authorities: async () => {
        const kept = await settings.authorityOf?.(host)
        const named = await authorities(host, authority === null ? null : settings.pathOf(authority))
        return kept === undefined || kept === null ? named : [...named, Buffer.from(kept).toString("latin1")]
      },
      proxy: proxyOf(settings.environment),
      credentials,
      tokenServers: settings.tokenServers,
      now: settings.now,
    })
  const session = (place: RegistryHost) => {
    const key = JSON.stringify(place)
    const known = sessions.get(key)
    if (known !== undefined) return known.session
    const opened = connect(place, settings.credentials)
    sessions.set(key, { host: place.host, session: opened })
    return opened
  }
  return {
    open(place, signal) {
      if (place.kind === "folder") return new LayoutFolder(settings.pathOf(place.folder), signal)
      const { host, path: name } = parseReference(place.repository)
      const { plainHttp, authority } = place
      return new RemoteRepository(session({ host, plainHttp, authority }), name, signal)
    },
    forget(host) {
      for (const [key, { session: open, host: of }] of sessions) {
        if (of !== host) continue
        sessions.delete(key)
        open.close()
      }
    },
    connect,
    close() {
      for (const { session: open } of sessions.values()) open.close()
      sessions.clear()
    },
  }
}

/** The authority that was named, and those other registry tools keep for this host. */
async function authorities(host: string, authority: string | null): Promise<readonly string[]> {
  const found = await Promise.all(
    CERTIFICATE_FOLDERS.map(async (folder) =>
      readFile(path.join(folder, host, "ca.crt"), "utf8").catch(() => null),
    ),
  )
  const named =
    authority === null
      ? null
      : await readFile(authority, "utf8").catch((error: unknown) => {
          throw readError(path.basename(authority), error)
        })
  return [...found, named].filter((text) => text !== null)
}

const CERTIFICATE_FOLDERS = ["/etc/docker/certs.d", "/etc/containers/certs.d"]

function proxyOf(environment: NodeJS.ProcessEnv): Record<string, string | undefined> {
  const names = ["http_proxy", "https_proxy", "no_proxy"].flatMap((name) => [name, name.toUpperCase()])
  return Object.fromEntries(names.map((name) => [name, environment[name]]))
}
