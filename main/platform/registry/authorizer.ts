/**
 * Answers a registry's challenge: Basic, or a token from the realm it names (Distribution's token specification, and OAuth 2
 * refresh where a credential file holds an identity token). Tokens are kept until they expire, for what they were asked for.
 */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseJson } from "../../core/bytes/json.ts"
import { parseChallenge, type Challenge } from "./challenge.ts"
import type { Credential, CredentialSource } from "./credentials.ts"
import type { Answer, HttpClient } from "./http.ts"

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
  #credential: Promise<Credential | null> | null = null

  /** `origin`: the registry. Its credentials go nowhere else but to the token server it names. */
  constructor(http: HttpClient, origin: URL, credentials: CredentialSource) {
    this.#http = http
    this.#origin = origin
    this.#credentials = credentials
  }

  /** A header that should do for `scope`, if one is known. */
  header(scope: string): string | null {
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
    this.#credential ??= this.#credentials.find(this.#origin.host)
    const credential = await this.#credential
    if (challenge.kind === "basic") {
      if (credential?.kind !== "password")
        throw unauthorized(`${this.#origin.host} wants a user name and a password`)
      const value = basicHeader(credential)
      this.#headers.set(EVERYTHING, { value, until: Number.POSITIVE_INFINITY })
      return value
    }
    const { value, lifeSeconds } = await this.#token(challenge, scope, credential, signal)
    this.#headers.set(scope, { value, until: performance.now() + lifeSeconds * 1000 - MARGIN_MS })
    return value
  }

  async #token(
    challenge: Extract<Challenge, { kind: "bearer" }>,
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
  #realm(challenge: Extract<Challenge, { kind: "bearer" }>): URL {
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
  { service }: Extract<Challenge, { kind: "bearer" }>,
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
  { service }: Extract<Challenge, { kind: "bearer" }>,
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
