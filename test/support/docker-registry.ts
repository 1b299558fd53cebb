/** Debian's docker-registry on a port of its own, plain or behind TLS and a password; killed and started again at will. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { connect } from "node:net"
import path from "node:path"
import { setTimeout as delay } from "node:timers/promises"

export interface DockerRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string
  /** The certificate to trust, where there is TLS. */
  readonly authority: string | null
  start(): Promise<void>
  /** Ends the process without giving it time for anything. */
  kill(): Promise<void>
}

export interface DockerRegistryOptions {
  /** TLS with a certificate of its own. */
  readonly tls?: boolean
  /** A login it demands. */
  readonly login?: { readonly username: string; readonly password: string }
  /** The settings of a token server it trusts. */
  readonly token?: Readonly<Record<string, string>>
  readonly deletes?: boolean
}

/** Not started yet. `folder` holds configuration and store. */
export async function dockerRegistry(
  folder: string,
  { tls = false, login, token, deletes = true }: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const port = await freePort()
  mkdirSync(path.join(folder, "store"), { recursive: true })
  const [certificate, key] = [path.join(folder, "tls.pem"), path.join(folder, "tls.key")]
  if (tls) {
    execFileSync(
      "openssl",
      ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"].concat(
        [
          "-subj",
          "/CN=test registry",
          "-addext",
          "subjectAltName=IP:127.0.0.1",
          "-keyout",
          key,
          "-out",
          certificate,
        ],
      ),
      { stdio: "pipe" },
    )
  }
  if (login !== undefined) {
    const line = execFileSync("htpasswd", ["-niB", login.username], { input: login.password })
    writeFileSync(path.join(folder, "htpasswd"), line)
  }
  const config = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: path.join(folder, "store") },
      delete: { enabled: deletes },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: {
      addr: `127.0.0.1:${port}`,
      // The same after a restart, so that an upload in chunks may go on.
      secret: "for tests only",
      ...(tls && { tls: { certificate, key } }),
    },
    ...(token && { auth: { token } }),
    ...(login && { auth: { htpasswd: { realm: "test", path: path.join(folder, "htpasswd") } } }),
  }
  const configFile = path.join(folder, "config.yml")
  writeFileSync(configFile, JSON.stringify(config)) // YAML reads JSON
  let child: ChildProcess | null = null
  return {
    host: `127.0.0.1:${port}`,
    authority: tls ? certificate : null,
    async start() {
      child = spawn("docker-registry", ["serve", configFile], { stdio: "ignore" })
      await listening(port, child)
    },
    async kill() {
      const running = child
      child = null
      if (running === null || running.exitCode !== null) return
      const closed = once(running, "close")
      running.kill("SIGKILL")
      await closed
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  for (const deadline = Date.now() + 20_000; ;) {
    const socket = connect(port, "127.0.0.1")
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true))
      socket.once("error", () => resolve(false))
    })
    socket.destroy()
    if (isOpen) return
    if (child.exitCode !== null || Date.now() > deadline) throw new Error("docker-registry did not start")
    await delay(20)
  }
}
