/** Requests to one registry: signed in when it asks for it, repeated when that may help, refused in words of our own. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseJson } from "../../core/bytes/json.ts"
import { Authorizer } from "./authorizer.ts"
import type { CredentialSource } from "./credentials.ts"
import { HttpClient, type Answer, type Exchange, type HttpSettings } from "./http.ts"
import type { TokenServers } from "./token-servers.ts"
import { parseRetryAfter, TryLater, withRetries, type RetryPolicy } from "./retry.ts"

export interface SessionSettings extends HttpSettings {
  readonly credentials: CredentialSource
  readonly tokenServers: TokenServers
  readonly retry: RetryPolicy
  readonly now: () => Date
}

export type Request = Omit<Exchange, "url" | "signal"> & {
  /** Path and query on the registry, or a whole address the registry gave. */
  readonly to: string | URL
  /** What the request needs to be allowed, in the words of the token specification. */
  readonly scope: string
  /** Statuses that are an answer; every other one is thrown. */
  readonly expect: readonly number[]
}

const MAX_ERROR_BYTES = 1 << 16

export class RegistrySession {
  readonly origin: URL
  readonly #settings: SessionSettings
  readonly #http: HttpClient
  readonly #authorizer: Authorizer

  constructor(host: string, plainHttp: boolean, settings: SessionSettings) {
    this.origin = new URL(`${plainHttp ? "http" : "https"}://${host}`)
    this.#settings = settings
    this.#http = new HttpClient(settings)
    this.#authorizer = new Authorizer(this.#http, this.origin, settings.credentials, settings.tokenServers)
  }

  /** One request, repeated while that may help. */
  async request(request: Request, signal: AbortSignal): Promise<Answer> {
    return this.retrying(signal, async () => this.once(request, signal))
  }

  /** A small document, repeated as a whole when it breaks off. */
  async document(
    request: Request,
    limit: number,
    signal: AbortSignal,
  ): Promise<{ readonly answer: Answer; readonly bytes: Uint8Array }> {
    return this.retrying(signal, async () => {
      const answer = await this.once(request, signal)
      return { answer, bytes: Uint8Array.from(await answer.document(limit)) }
    })
  }

  async retrying<T>(signal: AbortSignal, action: (progressed: () => void) => Promise<T>): Promise<T> {
    return withRetries(this.#settings.retry, signal, action)
  }

  /** One request, once; signs in when asked to. Throws TryLater and NetworkFailure for what may help to repeat. */
  async once({ to, scope, expect, ...exchange }: Request, signal: AbortSignal): Promise<Answer> {
    const url = new URL(to, this.origin)
    const isOurs = url.origin === this.origin.origin
    const send = async (authorization: string | null) =>
      this.#http.send({
        ...exchange,
        url,
        headers: { ...exchange.headers, ...(authorization !== null && { authorization }) },
        signal,
      })
    let answer = await send(isOurs ? await this.#authorizer.header(scope, signal) : null)
    // What asks from another address never learns who we are.
    if (answer.status === 401 && answer.url.origin === this.origin.origin) {
      answer.drop()
      answer = await send(await this.#authorizer.answer(answer, scope, signal))
    }
    if (expect.includes(answer.status)) return answer
    throw await this.#refusal(answer)
  }

  /**
   * Whether the other end is a registry that lets us in, and whether it lets in anybody. Throws REGISTRY_UNAUTHORIZED when it
   * does not, REGISTRY_MISBEHAVED when it is none.
   */
  async knock(signal: AbortSignal): Promise<{ readonly isOpen: boolean }> {
    const answer = await this.request({ method: "GET", to: "/v2/", scope: "", expect: [200, 404] }, signal)
    answer.drop()
    if (answer.status === 404)
      throw new AppError("REGISTRY_MISBEHAVED", `${this.origin.host} is not a registry`)
    return { isOpen: this.#authorizer.known("") === null }
  }

  close(): void {
    this.#http.close()
  }

  async #refusal(answer: Answer): Promise<AppError> {
    const { status } = answer
    const reason = await reasonOf(answer)
    const message = `${answer.url.host} answers ${status}${reason === null ? "" : ` (${reason})`}`
    if (status === 429 || status === 503) {
      const afterMs = parseRetryAfter(answer.header("retry-after"), this.#settings.now())
      return new TryLater("REGISTRY_BUSY", message, afterMs)
    }
    if (status === 408 || status >= 500) return new TryLater("REGISTRY_REFUSED", message, null)
    if (status === 401) return new AppError("REGISTRY_UNAUTHORIZED", message)
    if (status === 403) return new AppError("REGISTRY_DENIED", message)
    if (status === 404) return new AppError("REGISTRY_NOT_FOUND", message)
    if (status === 405 || status === 501) return new AppError("REGISTRY_UNSUPPORTED", message)
    return new AppError("REGISTRY_REFUSED", message)
  }
}

const errorsSchema = z.looseObject({ errors: z.array(z.looseObject({ code: z.string() })).min(1) })

/** The registry's own code for what is wrong, such as `DIGEST_INVALID`; its prose stays out of our messages. */
async function reasonOf(answer: Answer): Promise<string | null> {
  try {
    const parsed = errorsSchema.safeParse(parseJson(await answer.document(MAX_ERROR_BYTES), "the answer"))
    const code = parsed.data?.errors[0]?.code ?? ""
    return /^[A-Z][A-Z_]{0,63}$/.test(code) ? code : null
  } catch {
    return null // the status says enough
  }
}
