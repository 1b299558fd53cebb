/** The loopback host: the user interface in any browser of this computer, for its user alone. Rules: docs/THREATMODEL.md. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import path from "node:path"
import { windowRouter } from "../contract/window-server.ts"
import { startEngineProcess } from "../platform/engine-process.ts"
import { EngineSupervisor } from "../platform/engine-supervisor.ts"
import { WindowPages } from "../platform/window-pages.ts"
import { browserShell } from "./browser-shell.ts"
import { authorityOf, hasOurHost, hasOurOrigin, isCrossSite } from "./request-guard.ts"
import { Tokens } from "./tokens.ts"
import { refuse, Transfers } from "./transfers.ts"
import { UploadFolder } from "./upload-folder.ts"
import { WindowSockets } from "./window-socket.ts"

export interface LoopbackOptions {
  readonly workspace: string
  /** 0 for one that is free. */
  readonly port: number
  /** The built user interface. */
  readonly pages: string
  /** Called with a link that opens one window: when the host is ready, and anew each time one was used. */
  readonly onLink: (link: string) => void
}

export interface LoopbackHost {
  readonly port: number
  readonly supervisor: EngineSupervisor
  /** Ends windows, engine and uploads. */
  close(): Promise<void>
}

/** Throws UI_NOT_BUILT without a built interface, ENGINE_GONE when the engine does not start. */
export async function startLoopbackHost(options: LoopbackOptions): Promise<LoopbackHost> {
  const pages = new WindowPages(options.pages)
  const uploads = await UploadFolder.open(path.join(options.workspace, "uploads"))
  const supervisor = new EngineSupervisor(() => startEngineProcess(options.workspace))
  const tokens = new Tokens()
  const transfers = new Transfers(uploads, async (filePath) => supervisor.refer(filePath))
  const router = windowRouter(() => supervisor.engine, browserShell(supervisor, transfers, options.workspace))
  const server = createServer({ requestTimeout: 0, headersTimeout: 10_000, maxHeaderSize: 16_384 })
  const port = await listen(server, options.port)
  const offerLink = () => options.onLink(`http://${authorityOf(port)}/#token=${tokens.issueLink()}`)
  const sockets = new WindowSockets(router, tokens, offerLink)

  server.on("request", (request, response) => {
    answer(request, response, { pages, transfers, port }).catch(() => response.destroy())
  })
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy())
    if (request.url === "/contract" && hasOurHost(request, port) && hasOurOrigin(request, port))
      sockets.accept(request, socket, head)
    else socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
  })
  const close = async () => {
    sockets.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await supervisor.stop()
    await uploads.close()
  }
  try {
    await supervisor.run()
  } catch (error) {
    await close()
    throw error
  }
  offerLink()
  return { port, supervisor, close }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  {
    pages,
    transfers,
    port,
  }: { readonly pages: WindowPages; readonly transfers: Transfers; readonly port: number },
): Promise<void> {
  const { method = "", url = "" } = request
  if (!hasOurHost(request, port)) return refuse(response, 421)
  const ticket = /^\/transfer\/([\w-]{43})$/.exec(url)?.[1]
  if (ticket !== undefined && method === "PUT") {
    return hasOurOrigin(request, port) ? transfers.receive(ticket, request, response) : refuse(response, 403)
  }
  if (method !== "GET" && method !== "HEAD") return refuse(response, 405)
  if (ticket !== undefined && method === "GET") {
    return isCrossSite(request) ? refuse(response, 403) : transfers.send(ticket, response)
  }
  const page = pages.find(url, `'self' ws://${authorityOf(port)}`)
  if (page === null) return refuse(response, 404)
  response.writeHead(200, page.headers)
  response.end(method === "HEAD" ? undefined : page.bytes)
}

async function listen(server: ReturnType<typeof createServer>, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen({ host: "127.0.0.1", port, exclusive: true }, resolve)
  })
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : port
}
