/** A software TPM of the test's own: private state, private port, ended by its own handle. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createServer, connect } from "node:net"
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"

export interface Swtpm {
  /** In the syntax of tpm2-tss and tpm2-tools. */
  readonly tcti: string
  readonly folder: string
  stop(): Promise<void>
}

/** Resolves when the TPM answers on its port. `folder` keeps its state and is removed by `stop`. */
export async function startSwtpm(): Promise<Swtpm> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-tpm-"))
  const port = await freePortPair()
  const child = spawn(
    "swtpm",
    [
      ...["socket", "--tpm2", "--tpmstate", `dir=${folder}`],
      ...["--server", `type=tcp,port=${port}`, "--ctrl", `type=tcp,port=${port + 1}`],
      ...["--flags", "not-need-init,startup-clear"],
    ],
    { stdio: "ignore" },
  )
  await answers(port, child)
  return {
    tcti: `swtpm:host=127.0.0.1,port=${port}`,
    folder,
    stop: async () => {
      const ended = child.exitCode === null ? once(child, "exit") : null
      child.kill("SIGKILL")
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Commands go to one port and control to the next one, because tpm2-tss looks for it there. */
async function freePortPair(): Promise<number> {
  for (;;) {
    const first = await listen(0)
    const port = first.port
    const second = await listen(port + 1).catch(() => null)
    await first.close()
    if (second === null) continue
    await second.close()
    return port
  }
}

async function listen(wanted: number): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer()
  server.listen(wanted, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  return {
    port: address.port,
    close: async () => {
      server.close()
      await once(server, "close")
    },
  }
}

async function answers(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`swtpm ended with ${child.exitCode}`)
    // The control port: a connection to the command port would count as the TPM's one client.
    const socket = connect(port + 1, "127.0.0.1")
    const isOpen = await Promise.race([
      once(socket, "connect").then(() => true),
      once(socket, "error").then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error("swtpm does not answer")
}
