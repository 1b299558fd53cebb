/**
 * A registry in memory that behaves as it is told: any request can be answered with a status, a lie, a reset or silence instead.
 * It keeps a list of what it was asked, so that tests can see what a client sent where.
 */
import { createHash, randomUUID } from "node:crypto"
import { once } from "node:events"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { onTestFinished } from "vitest"

export interface Asked {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** What to do instead of answering properly. `undefined` from a script means: answer properly. */
export type Fault =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string | Buffer }
  /** Closes the connection, after `after` bytes of the proper body if there is one. */
  | { readonly reset: true; readonly after?: number }
  /** Sends nothing (more), after `after` bytes of the proper body. */
  | { readonly stall: true; readonly after?: number }
  /** The proper answer with other headers or another body. */
  | {
      readonly lie: {
        readonly headers?: Record<string, string>
        readonly body?: Buffer
        readonly chunked?: boolean
      }
    }
  /** Does what was asked, and closes the connection instead of saying so. */
  | { readonly mute: true }
  | { readonly handle: (request: IncomingMessage, response: ServerResponse) => void }

export type Script = (asked: Asked, index: number) => Fault | undefined

export interface FaultyRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string
  readonly asked: Asked[]
  readonly blobs: Map<string, Buffer>
  readonly manifests: Map<string, Buffer>
  /** Consulted for every request. */
  script: Script
}

export async function faultyRegistry(script: Script = () => undefined): Promise<FaultyRegistry> {
  const asked: Asked[] = []
  const blobs = new Map<string, Buffer>()
  const manifests = new Map<string, Buffer>()
  const uploads = new Map<string, Buffer>()
  const server = createServer((request, response) => {
    const entry = { method: request.method ?? "", url: request.url ?? "", headers: request.headers }
    asked.push(entry)
    const fault = registry.script(entry, asked.length - 1)
    void answer(request, response, fault).catch(() => response.destroy())
  })
  const host = await listen(server)
  const registry: FaultyRegistry = { host, asked, blobs, manifests, script }
  return registry

  async function answer(request: IncomingMessage, response: ServerResponse, fault?: Fault): Promise<void> {
    if (fault !== undefined && "handle" in fault) return fault.handle(request, response)
    if (fault !== undefined && "status" in fault) {
      request.resume()
      response.writeHead(fault.status, fault.headers).end(fault.body ?? "")
      return
    }
    if (fault !== undefined && ("reset" in fault || "stall" in fault) && request.method !== "GET") {
      await readSome(request, fault.after ?? 0)
      if ("reset" in fault) request.socket.destroy()
      return
    }
    const proper = properAnswer(request, await readBody(request))
    if (fault !== undefined && "mute" in fault) {
      request.socket.destroy()
      return
    }
    const lie = fault !== undefined && "lie" in fault ? fault.lie : {}
    const body = lie.body ?? proper.body ?? Buffer.alloc(0)
    const isHead = request.method === "HEAD"
    const headers: Record<string, string> = {
      "content-length": String(body.length),
      ...proper.headers,
      ...lie.headers,
    }
    if (lie.chunked === true) delete headers["content-length"]
    response.writeHead(proper.status, headers)
    if (fault !== undefined && ("reset" in fault || "stall" in fault)) {
      response.flushHeaders()
      await new Promise<void>((resolve) => {
        response.write(body.subarray(0, fault.after ?? 0), () => resolve())
      })
      if ("reset" in fault) request.socket.destroy()
      return
    }
    if (isHead) response.end()
    else if (body.length === Number(headers["content-length"] ?? body.length)) response.end(body)
    // A length that is a lie: what there is, then the end of the connection.
    else response.write(body, () => request.socket.end())
  }

  function properAnswer(request: IncomingMessage, body: Buffer): Proper {
    const url = new URL(request.url ?? "", `http://${host}`)
    const [, name = "", kind = "", rest = ""] =
      /^\/v2\/(.+)\/(blobs|manifests|tags|referrers)\/(.*)$/.exec(url.pathname) ?? []
    const method = request.method ?? ""
    if (url.pathname === "/v2/") return { status: 200, body: Buffer.from("{}") }
    if (kind === "blobs" && rest.startsWith("uploads/")) return upload(name, method, rest.slice(8), url, body)
    if (kind === "blobs") return stored(blobs.get(rest), rest, request.headers.range)
    if (kind === "tags")
      return { status: 200, body: Buffer.from(JSON.stringify({ name, tags: [...manifests.keys()] })) }
    if (kind === "manifests" && method === "PUT") {
      const digest = digestOf(body)
      manifests.set(rest, body)
      manifests.set(digest, body)
      return { status: 201, headers: { "docker-content-digest": digest } }
    }
    if (kind === "manifests") {
      const found = manifests.get(rest)
      return stored(found, found === undefined ? "" : digestOf(found), undefined)
    }
    return { status: 404 }
  }

  function upload(name: string, method: string, id: string, url: URL, body: Buffer): Proper {
    if (method === "POST") {
      const opened = randomUUID()
      uploads.set(opened, Buffer.alloc(0))
      return { status: 202, headers: { location: `/v2/${name}/blobs/uploads/${opened}` } }
    }
    const before = uploads.get(id)
    if (before === undefined) return { status: 404 }
    const location = { location: url.pathname, range: `0-${Math.max(0, before.length - 1)}` }
    if (method === "GET") return { status: 204, headers: location }
    if (method === "DELETE") {
      uploads.delete(id)
      return { status: 204 }
    }
    const after = Buffer.concat([before, body])
    uploads.set(id, after)
    if (method === "PATCH") return { status: 202, headers: location }
    const digest = url.searchParams.get("digest") ?? ""
    if (digestOf(after) !== digest)
      return { status: 400, body: Buffer.from('{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}') }
    blobs.set(digest, after)
    uploads.delete(id)
    return { status: 201, headers: { location: `/v2/${name}/blobs/${digest}` } }
  }
}

interface Proper {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: Buffer
}

function stored(bytes: Buffer | undefined, digest: string, range: string | undefined): Proper {
  if (bytes === undefined) return { status: 404, body: Buffer.alloc(0) }
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0)
  if (range === undefined) return { status: 200, headers: { "docker-content-digest": digest }, body: bytes }
  return {
    status: 206,
    headers: { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` },
    body: bytes.subarray(from),
  }
}

/** A server on a private port that ends with the test. */
export async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  return `127.0.0.1:${address.port}`
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
  return Buffer.concat(parts)
}

async function readSome(request: IncomingMessage, bytes: number): Promise<void> {
  let seen = 0
  if (bytes === 0) return
  for await (const part of request as AsyncIterable<Buffer>) {
    seen += part.length
    if (seen >= bytes) return
  }
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`
}
