/** A TPM simulator of its own for each suite: own folder, own ports, stopped by its handle. */
import { execFile, spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import net from "node:net"
import os from "node:os"
import path from "node:path"
import { promisify } from "node:util"

export interface Swtpm {
  /** For us and for tpm2-tools alike. */
  readonly tcti: string
  /** Runs a command of tpm2-tools in a folder of its own; returns its standard output. */
  tool(command: string, ...args: readonly string[]): Promise<string>
  /** Folder with the certificates of its own maker, where it has one. */
  readonly maker: string
  /** Where tools may leave files; removed by `stop`. */
  readonly folder: string
  /** A path in that folder. */
  at(name: string): string
  stop(): Promise<void>
}

export interface SwtpmOptions {
  /** Whether it has endorsement keys with certificates of a maker: the one of this computer, or its own. */
  readonly certificates?: boolean | "own-maker"
}

export async function startSwtpm(options: SwtpmOptions = {}): Promise<Swtpm> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-tpm-"))
  const maker = path.join(folder, "maker")
  if (options.certificates === true) await manufacture(folder)
  if (options.certificates === "own-maker") await manufacture(folder, ["--config", newMaker(maker)])
  for (let attempt = 0; ; attempt += 1) {
    const port = await freePortPair()
    const child = spawn(
      "swtpm",
      [
        ...["socket", "--tpm2", "--tpmstate", `dir=${folder}`],
        ...["--server", `type=tcp,port=${port},disconnect=no`, "--ctrl", `type=tcp,port=${port + 1}`],
        ...["--flags", "not-need-init,startup-clear"],
      ],
      { stdio: "ignore" },
    )
    const exited = once(child, "exit")
    if (await isListening(port + 1, child)) return { ...handleOf(folder, port, child, exited), maker }
    await exited
    if (attempt === 5) throw new Error("swtpm does not start")
  }
}

function handleOf(
  folder: string,
  port: number,
  child: ChildProcess,
  exited: Promise<unknown>,
): Omit<Swtpm, "maker"> {
  const tcti = `swtpm:host=127.0.0.1,port=${port}`
  const files = mkdtempSync(path.join(os.tmpdir(), "sealwright-tools-"))
  return {
    tcti,
    tool: async (command, ...args) => {
      const { stdout } = await promisify(execFile)(command, args, {
        cwd: files,
        env: { ...process.env, TPM2TOOLS_TCTI: tcti },
      })
      return stdout
    },
    folder: files,
    at: (name) => path.join(files, name),
    stop: async () => {
      child.kill()
      await exited
      rmSync(folder, { recursive: true, force: true })
      rmSync(files, { recursive: true, force: true })
    },
  }
}

/** Gives the TPM endorsement keys with certificates, as a maker does (swtpm_setup and its local CA). */
async function manufacture(folder: string, more: readonly string[] = []): Promise<void> {
  const args = ["--tpm2", "--tpmstate", folder, "--create-ek-cert", "--overwrite"]
  await promisify(execFile)("swtpm_setup", [...args, ...more])
}

/** A maker nobody knows: its keys and certificates come to lie in `folder`. Returns swtpm_setup's configuration for it. */
function newMaker(folder: string): string {
  mkdirSync(folder)
  const file = (name: string, text: string) => {
    writeFileSync(path.join(folder, name), text)
    return path.join(folder, name)
  }
  const authority = file(
    "localca.conf",
    `statedir = ${folder}\nsigningkey = ${folder}/signkey.pem\nissuercert = ${folder}/issuercert.pem\ncertserial = ${folder}/certserial\n`,
  )
  const options = file(
    "localca.options",
    "--platform-manufacturer Sealwright\n--platform-version 1\n--platform-model Bench\n",
  )
  return file(
    "setup.conf",
    `create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = ${authority}\n` +
      `create_certs_tool_options = ${options}\nactive_pcr_banks = sha256\n`,
  )
}

/** Two ports in a row that nobody listens on. Somebody may be quicker: the caller tries again. */
async function freePortPair(): Promise<number> {
  for (;;) {
    const first = net.createServer().listen(0, "127.0.0.1")
    await once(first, "listening")
    const address = first.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const second = net.createServer().listen(port + 1, "127.0.0.1")
    // `once` rejects on "error" whatever it waits for.
    const isFree = await once(second, "listening").then(
      () => true,
      () => false,
    )
    first.close()
    second.close()
    if (isFree && port < 65_535) return port
  }
}

/** Polls the control port: a connection to the other one would be the TPM's one client. */
async function isListening(port: number, child: ChildProcess): Promise<boolean> {
  for (;;) {
    if (child.exitCode !== null) return false
    const socket = net.connect(port, "127.0.0.1")
    const isOpen = await Promise.race([
      once(socket, "connect").then(() => true),
      once(socket, "error").then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (isOpen) return true
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
