/** Stands between a client and a registry and notes every request; passes everything on as it is. */
import { once } from "node:events"
import http from "node:http"

export interface CountingProxy {
  /** `127.0.0.1:PORT` */
  readonly host: string
  /** `METHOD path` of every request since it was asked last. */
  taken(): readonly string[]
  close(): void
}

export async function countingProxy(target: string): Promise<CountingProxy> {
  let requests: string[] = []
  const server = http.createServer((request, response) => {
    requests.push(`${request.method ?? ""} ${request.url ?? ""}`)
    const [hostname = "", port = ""] = target.split(":")
    const { method, url: path, headers } = request
    const onward = http.request({ hostname, port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    onward.on("error", () => response.destroy())
    request.pipe(onward)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  return {
    host: `127.0.0.1:${address.port}`,
    taken() {
      const seen = requests
      requests = []
      return seen
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
