/**
 * Answers a registry's challenge: Basic, or a token from the realm it names (Distribution's token specification, and OAuth 2
 * refresh where a credential file holds an identity token). Tokens are kept until they expire, for what they were asked for; where
 * they come from is known from the last time, so that the first request may already carry one.
 */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseJson } from "../../core/bytes/json.ts"
import { parseChallenge } from "./challenge.ts"
import type { Credential, CredentialSource } from "./credentials.ts"
import type { Answer, HttpClient } from "./http.ts"
import type { TokenChallenge, TokenServers } from "./token-servers.ts"

const tokenSchema = z.looseObject({
  token: z.string().optional(),
  access_token: z.string().optional(),
  expires_in: z.number().optional(),
})

const MAX_TOKEN_BYTES = 1 << 20
/** What the token specification says when the answer does not. */
const DEFAULT_LIFE_SECONDS = 60
/** A token is not used in its last moments: it would expire on the way. */
const MARGIN_MS = 5_000

export class Authorizer {
  readonly #http: HttpClient
  readonly #origin: URL
  readonly #credentials: CredentialSource
  readonly #headers = new Map<string, { readonly value: string; readonly until: number }>()
  readonly #tokenServers: TokenServers
  #credential: Promise<Credential | null> | null = null
  /** Where tokens were had the last time; `null` once it was of no use. */
  #remembered: Promise<TokenChallenge | null> | null = null
  /** Tokens on their way, by scope: two requests that start together need one. */
  readonly #coming = new Map<string, Promise<string>>()

  /** `origin`: the registry. Its credentials go nowhere else but to the token server it names. */
  constructor(http: HttpClient, origin: URL, credentials: CredentialSource, tokenServers: TokenServers) {
    this.#http = http
    this.#origin = origin
    this.#credentials = credentials
    this.#tokenServers = tokenServers
  }

  /** A header that should do for `scope`, if one is known or can be had without asking the registry first. */
  async header(scope: string, signal: AbortSignal): Promise<string | null> {
    const known = this.known(scope)
    if (known !== null) return known
    this.#remembered ??= this.#tokenServers.find(this.#origin.origin)
    const challenge = await this.#remembered
    if (challenge === null) return null
    try {
      return await this.#tokenHeader(challenge, scope, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof AppError)) throw error
      // It may have moved: the registry will say.
      this.#remembered = Promise.resolve(null)
      return null
    }
  }

  known(scope: string): string | null {
    const known = this.#headers.get(scope) ?? this.#headers.get(EVERYTHING)
    return known !== undefined && performance.now() < known.until ? known.value : null
  }

  /**
   * A new header for `scope`, as the answer with status 401 asks. Throws REGISTRY_UNAUTHORIZED when there is nothing to answer
   * with.
   */
  async answer(refusal: Answer, scope: string, signal: AbortSignal): Promise<string> {
    const challenge = parseChallenge(refusal.header("www-authenticate"))
    if (challenge === null)
      throw unauthorized(`${this.#origin.host} wants a login of a kind that is not known`)
    if (challenge.kind === "basic") {
      const credential = await this.#login()
      if (credential?.kind !== "password")
        throw unauthorized(`${this.#origin.host} wants a user name and a password`)
      const value = basicHeader(credential)
      this.#headers.set(EVERYTHING, { value, until: Number.POSITIVE_INFINITY })
      return value
    }
    const value = await this.#tokenHeader(challenge, scope, signal)
    await this.#tokenServers.keep(this.#origin.origin, challenge)
    this.#remembered = Promise.resolve(challenge)
    return value
  }

  async #login(): Promise<Credential | null> {
    this.#credential ??= this.#credentials.find(this.#origin.host)
    return this.#credential
  }

  async #tokenHeader(challenge: TokenChallenge, scope: string, signal: AbortSignal): Promise<string> {
    const coming = this.#coming.get(scope)
    if (coming !== undefined) {
      const value = await coming.catch(() => null) // whoever asked may have been cancelled
      if (value !== null) return value
    }
    const asked = this.#askForToken(challenge, scope, signal)
    this.#coming.set(scope, asked)
    try {
      return await asked
    } finally {
      this.#coming.delete(scope)
    }
  }

  async #askForToken(challenge: TokenChallenge, scope: string, signal: AbortSignal): Promise<string> {
    const { value, lifeSeconds } = await this.#token(challenge, scope, await this.#login(), signal)
    this.#headers.set(scope, { value, until: performance.now() + lifeSeconds * 1000 - MARGIN_MS })
    return value
  }

  async #token(
    challenge: TokenChallenge,
    scope: string,
    credential: Credential | null,
    signal: AbortSignal,
  ): Promise<{ readonly value: string; readonly lifeSeconds: number }> {
    const realm = this.#realm(challenge)
    const answer = await this.#http.send(
      credential?.kind === "token"
        ? refreshRequest(realm, challenge, scope, credential.token, signal)
        : tokenRequest(realm, challenge, scope, credential, signal),
    )
    if (answer.status !== 200) {
      answer.drop()
      throw unauthorized(`the token server of ${this.#origin.host} answers ${answer.status}`)
    }
    const parsed = tokenSchema.safeParse(parseJson(await answer.document(MAX_TOKEN_BYTES), "the token"))
    const token = parsed.data?.token ?? parsed.data?.access_token ?? ""
    // A token is a word; anything else could add headers of its own.
    if (!/^[\x21-\x7e]+$/.test(token))
      throw new AppError("REGISTRY_MISBEHAVED", "the token server sends something that is not a token")
    return { value: `Bearer ${token}`, lifeSeconds: parsed.data?.expires_in ?? DEFAULT_LIFE_SECONDS }
  }

  /** Tokens, and the password they are asked with, travel under TLS unless the registry itself does without. */
  #realm(challenge: TokenChallenge): URL {
    if (!URL.canParse(challenge.realm))
      throw new AppError("REGISTRY_MISBEHAVED", "the registry names a token server that is not an address")
    const realm = new URL(challenge.realm)
    const isSafe =
      realm.protocol === "https:" || (realm.protocol === "http:" && this.#origin.protocol === "http:")
    if (!isSafe)
      throw new AppError("REGISTRY_REDIRECT", "the registry names a token server that is reached without TLS")
    return realm
  }
}

/** Basic answers whatever is asked; tokens only what they were issued for. */
const EVERYTHING = ""

function tokenRequest(
  realm: URL,
  { service }: TokenChallenge,
  scope: string,
  credential: Credential | null,
  signal: AbortSignal,
) {
  const url = new URL(realm)
  if (service !== null) url.searchParams.set("service", service)
  for (const each of scope.split(" ").filter((part) => part !== "")) url.searchParams.append("scope", each)
  if (credential?.kind === "password") url.searchParams.set("account", credential.username)
  const headers = credential?.kind === "password" ? { authorization: basicHeader(credential) } : {}
  return { method: "GET", url, headers, signal } as const
}

function refreshRequest(
  realm: URL,
  { service }: TokenChallenge,
  scope: string,
  token: string,
  signal: AbortSignal,
) {
  const form = new URLSearchParams({
    grant_type: "refresh_token",
    service: service ?? "",
    client_id: "sealwright",
    scope,
    refresh_token: token,
  })
  const bytes = Buffer.from(form.toString())
  return {
    method: "POST",
    url: realm,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: {
      length: bytes.length,
      async *parts() {
        yield bytes
      },
    },
    signal,
  } as const
}

function basicHeader({ username, password }: Extract<Credential, { kind: "password" }>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`
}

function unauthorized(message: string): AppError {
  return new AppError("REGISTRY_UNAUTHORIZED", message)
}
