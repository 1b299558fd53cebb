/** Logging in and out, and knocking at the door. */
import { AppError } from "../../contract/errors.ts"
import type { RegistryCheck, RegistryHost } from "../../contract/schema/registry.ts"
import { parseReference } from "../../core/oci/reference.ts"
import type { Prompter } from "../../services/ports/prompter.ts"
import type { RegistryAccess } from "../../services/ports/registry.ts"
import type { CredentialSource, CredentialStore } from "./credentials.ts"
import type { RegistrySession } from "./session.ts"

/** `connect` opens a session of its own, with logins from `credentials` alone. */
export function registryAccess(
  credentials: CredentialStore,
  prompter: Prompter,
  connect: (host: RegistryHost, credentials: CredentialSource) => RegistrySession,
): RegistryAccess {
  return {
    async login(host, username, signal) {
      checkHost(host.host)
      const answer = await prompter.ask({
        kind: "password",
        subject: `the account ${username} at ${host.host}`,
        notice: null,
        isNew: false,
      })
      // The header and the credential file need it as text, which cannot be wiped; the bytes can.
      const password = Buffer.from(answer).toString("utf8")
      answer.fill(0)
      await knock(host, { find: async () => ({ kind: "password", username, password }) }, signal)
      return credentials.store(host.host, username, password)
    },
    async logout(host) {
      checkHost(host)
      return credentials.erase(host)
    },
    async check(host, signal) {
      checkHost(host.host)
      return knock(host, credentials, signal)
    },
  }

  async function knock(
    host: RegistryHost,
    source: CredentialSource,
    signal: AbortSignal,
  ): Promise<RegistryCheck> {
    const session = connect(host, source)
    const startedAt = performance.now()
    try {
      const { isOpen } = await session.knock(signal)
      return {
        host: host.host,
        access: isOpen ? "anyone" : "login",
        tls: !host.plainHttp,
        milliseconds: performance.now() - startedAt,
      }
    } finally {
      session.close()
    }
  }
}

function checkHost(host: string): void {
  if (host.includes("/"))
    throw new AppError(
      "REGISTRY_REFERENCE_INVALID",
      `${JSON.stringify(host.slice(0, 100))} is not HOST[:PORT]`,
    )
  parseReference(`${host}/x`)
}
