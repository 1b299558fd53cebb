/**
 * HTTP/1.1 as a registry client needs it: connections kept, bodies streamed both ways, nothing trusted. Node's own client
 * serves: it costs nothing at start (undici took a third of a second to load), knows proxies and extra authorities, and moves
 * bytes as fast as a loopback registry can.
 */
import {
  request as httpRequest,
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
} from "node:http"
import { request as httpsRequest, Agent as HttpsAgent } from "node:https"
import { createSecureContext, getCACertificates } from "node:tls"
import { AppError } from "../../contract/errors.ts"

export interface HttpSettings {
  /** Certificate authorities, PEM, besides those of Node and of the system. Asked for when TLS is first needed. */
  readonly authorities: () => Promise<readonly string[]>
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case. */
  readonly proxy: Readonly<Record<string, string | undefined>>
  /** A connection on which nothing moves for so long is given up. */
  readonly idleMs: number
  /** A small document that takes longer than this is given up, however busy its sender seems. */
  readonly documentMs: number
}

export const HTTP_DEFAULTS = { idleMs: 60_000, documentMs: 120_000 } as const

export interface Exchange {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  /** Sent with a Content-Length. A part may be reused by its maker once the next one is asked for. */
  readonly body?: { readonly length: number; readonly parts: () => AsyncIterable<Uint8Array> }
  readonly signal: AbortSignal
}

/** An answer whose body has not been read. Read it, or `drop` it. */
export interface Answer {
  readonly status: number
  /** Where it came from, after redirects. */
  readonly url: URL
  header(name: string): string | null
  /** Stated length of the body, bytes. `null` when none is stated; throws REGISTRY_MISBEHAVED when it is not a number. */
  length(): number | null
  readonly body: AsyncIterable<Buffer>
  /** The whole body. Throws REGISTRY_TOO_LARGE above `limit`. */
  document(limit: number): Promise<Buffer>
  /** Ends the exchange; a small rest is read so that the connection can serve again. */
  drop(): void
}

/** A failure of the network, not of the other end's opinion: trying again may help. */
export class NetworkFailure extends AppError {}

const MAX_REDIRECTS = 5
const MAX_CONNECTIONS = 8

export class HttpClient {
  readonly #settings: HttpSettings
  readonly #http: HttpAgent
  #https: Promise<HttpsAgent> | null = null

  constructor(settings: HttpSettings) {
    this.#settings = settings
    this.#http = new HttpAgent(this.#agentOptions())
  }

  /**
   * One exchange. A GET or HEAD follows redirects, never from TLS to none, and `Authorization` stays behind when the address
   * is another one. Throws REGISTRY_UNREACHABLE and REGISTRY_TLS (NetworkFailure), REGISTRY_REDIRECT.
   */
  async send(exchange: Exchange): Promise<Answer> {
    let current = exchange
    for (let redirects = 0; ; redirects += 1) {
      const answer = await this.#once(current)
      const isRead = current.method === "GET" || current.method === "HEAD"
      if (!isRead || ![301, 302, 303, 307, 308].includes(answer.status)) return answer
      answer.drop()
      if (redirects === MAX_REDIRECTS) throw redirected(`more than ${MAX_REDIRECTS} redirects`)
      current = follow(current, answer)
    }
  }

  close(): void {
    this.#http.destroy()
    void this.#https?.then((agent) => agent.destroy())
  }

  #agentOptions() {
    return { keepAlive: true, maxSockets: MAX_CONNECTIONS, proxyEnv: this.#settings.proxy }
  }

  async #tlsAgent(): Promise<HttpsAgent> {
    const authorities = await this.#settings.authorities()
    const ca = [...getCACertificates("default"), ...getCACertificates("system"), ...authorities]
    return new HttpsAgent({
      ...this.#agentOptions(),
      secureContext: createSecureContext({ ca: [...new Set(ca)], minVersion: "TLSv1.2" }),
    })
  }

  async #once({ method, url, headers = {}, body, signal }: Exchange): Promise<Answer> {
    signal.throwIfAborted()
    if (url.protocol !== "http:" && url.protocol !== "https:")
      throw redirected(`an address of the scheme ${url.protocol.slice(0, 20)}`)
    const isTls = url.protocol === "https:"
    const agent = isTls ? await (this.#https ??= this.#tlsAgent()) : this.#http
    const request = (isTls ? httpsRequest : httpRequest)(url, {
      method,
      agent,
      headers: { "user-agent": "sealwright", ...headers, ...(body && { "content-length": body.length }) },
      signal,
    })
    let silence: NetworkFailure | null = null
    request.setTimeout(this.#settings.idleMs, () => {
      silence = new NetworkFailure("REGISTRY_UNREACHABLE", `${url.host} does not answer`)
      request.destroy(silence)
    })
    // A connection that we gave up looks like one that broke.
    const explain = (error: unknown): Error => silence ?? asFailure(error, url, signal)
    let isAnswered = false
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", (message) => {
        isAnswered = true
        resolve(message)
      })
      // A connection may break after the answer too; whoever reads the body then learns of it.
      request.on("error", (error) => reject(explain(error)))
    })
    // The answer may come, or the connection break, while the body is still on its way.
    answered.catch(() => {})
    try {
      await Promise.race([sendBody(request, body, () => isAnswered), answered])
    } catch (error) {
      request.destroy()
      throw explain(error)
    }
    return new StreamedAnswer(await answered, url, explain, this.#settings.documentMs)
  }
}

/** Writes one part while the next one is made. Ends quietly when the other end has answered already. */
async function sendBody(
  request: ClientRequest,
  body: Exchange["body"],
  isAnswered: () => boolean,
): Promise<void> {
  if (body === undefined) {
    request.end()
    return
  }
  let written = Promise.resolve()
  for await (const part of body.parts()) {
    await written
    if (request.destroyed || isAnswered()) return
    written = new Promise((resolve, reject) => {
      request.write(part, (error) => (error ? reject(error) : resolve()))
    })
    written.catch(() => {})
  }
  await written
  request.end()
}

class StreamedAnswer implements Answer {
  readonly status: number
  readonly url: URL
  readonly #message: IncomingMessage
  readonly #explain: (error: unknown) => Error
  readonly #documentMs: number

  constructor(message: IncomingMessage, url: URL, explain: (error: unknown) => Error, documentMs: number) {
    this.status = message.statusCode ?? 0
    this.url = url
    this.#message = message
    this.#explain = explain
    this.#documentMs = documentMs
    message.on("error", () => {}) // whoever reads the body gets it; an answer that is dropped has no reader
  }

  header(name: string): string | null {
    const value = this.#message.headers[name]
    return (typeof value === "string" ? value : value?.[0]) ?? null
  }

  length(): number | null {
    const text = this.header("content-length")
    if (text === null) return null
    if (!/^(0|[1-9]\d{0,15})$/.test(text))
      throw new AppError("REGISTRY_MISBEHAVED", "the registry states a length that is not a number")
    return Number(text)
  }

  get body(): AsyncIterable<Buffer> {
    return this.#read()
  }

  async document(limit: number): Promise<Buffer> {
    const tooLarge = () =>
      new AppError("REGISTRY_TOO_LARGE", `the registry sends a document of more than ${limit} bytes`)
    const giveUp = setTimeout(
      () =>
        this.#message.destroy(
          new NetworkFailure("REGISTRY_UNREACHABLE", `${this.url.host} takes too long for a small document`),
        ),
      this.#documentMs,
    )
    try {
      if ((this.length() ?? 0) > limit) throw tooLarge()
      const parts: Buffer[] = []
      let size = 0
      for await (const part of this.#read()) {
        size += part.length
        if (size > limit) throw tooLarge()
        parts.push(part)
      }
      return Buffer.concat(parts)
    } finally {
      clearTimeout(giveUp)
      if (!this.#message.complete) this.#message.destroy()
    }
  }

  drop(): void {
    if ((this.length() ?? Number.POSITIVE_INFINITY) <= 1 << 16) this.#message.resume()
    else this.#message.destroy()
  }

  async *#read(): AsyncGenerator<Buffer, void> {
    try {
      // A message without an encoding yields buffers.
      for await (const part of this.#message as AsyncIterable<Buffer>) yield part
    } catch (error) {
      throw this.#explain(error)
    }
    if (!this.#message.complete) throw truncated(this.url)
  }
}

function follow(exchange: Exchange, answer: Answer): Exchange {
  const location = answer.header("location")
  if (location === null || !URL.canParse(location, answer.url.href))
    throw redirected("a redirect without address")
  const url = new URL(location, answer.url)
  if (exchange.url.protocol === "https:" && url.protocol !== "https:")
    throw redirected("a redirect from TLS to an address without")
  if (url.username !== "" || url.password !== "") throw redirected("a redirect that carries a password")
  const { authorization: _left, ...others } = exchange.headers ?? {}
  return { ...exchange, url, headers: url.origin === exchange.url.origin ? (exchange.headers ?? {}) : others }
}

function asFailure(error: unknown, url: URL, signal: AbortSignal): Error {
  if (!(error instanceof Error)) return new Error(String(error))
  if (signal.aborted) return new AppError("CANCELLED", "the operation was cancelled", { cause: error })
  if (error instanceof AppError) return error
  const code = "code" in error ? String(error.code) : ""
  if (error.name === "AbortError") return error
  if (TLS_FAULT.test(code))
    return new AppError("REGISTRY_TLS", `${url.host} has no certificate to be trusted (${code})`, {
      cause: error,
    })
  if (code === "EPROTO")
    return new AppError("REGISTRY_TLS", `${url.host} does not speak TLS`, { cause: error })
  if (code === "ECONNRESET" || code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE")
    return truncated(url, error)
  if (code.startsWith("HPE_") || code === "ERR_HTTP_INVALID_STATUS_CODE")
    return new AppError("REGISTRY_MISBEHAVED", `${url.host} does not speak HTTP (${code})`, { cause: error })
  if (/^E[A-Z_]+$/.test(code) || code.startsWith("ERR_"))
    return new NetworkFailure("REGISTRY_UNREACHABLE", `${url.host} cannot be reached (${code})`, {
      cause: error,
    })
  return error
}

/** What OpenSSL, through Node, calls certificates it does not accept. */
const TLS_FAULT =
  /^(CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|ERR_TLS_|ERR_SSL_|HOSTNAME_MISMATCH|INVALID_CA|ERR_PROXY_TLS)/

function truncated(url: URL, cause?: Error): NetworkFailure {
  return new NetworkFailure("REGISTRY_TRUNCATED", `the connection to ${url.host} broke off`, { cause })
}

function redirected(what: string): AppError {
  return new AppError("REGISTRY_REDIRECT", `the registry answers with ${what}`)
}
