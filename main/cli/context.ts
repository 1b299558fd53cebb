/** What every command has: an engine, the user's wishes about output, and a way to be interrupted. */
import path from "node:path"
import type { HostClient } from "../contract/client.ts"
import { followJob } from "../contract/client.ts"
import { localEngine } from "../contract/server.ts"
import type { FileRef, JobEvent } from "../contract/schema/base.ts"
import { createEngine } from "../services/engine.ts"
import { defaultWorkspace } from "../platform/default-workspace.ts"
import { localPorts } from "../platform/ports.ts"
import { choosePrompter } from "../platform/prompt/choose.ts"
import { parseDescriptor } from "./options.ts"
import { ProgressBar } from "./progress.ts"

export interface GlobalOptions {
  readonly workspace?: string
  readonly json?: boolean
  readonly passphraseFd?: string
  readonly pinFd?: string
}

/** One run of the CLI. */
export class Context {
  readonly engine: HostClient
  readonly isJson: boolean
  /** Folder of keys and devices. */
  readonly workspace: string
  readonly #abort: AbortController
  readonly #close: () => Promise<void>

  constructor(options: GlobalOptions, abort: AbortController) {
    this.workspace = path.resolve(options.workspace ?? defaultWorkspace())
    const { ports, close } = localPorts(this.workspace, {
      prompter: choosePrompter({
        passphraseFd: parseDescriptor("--passphrase-fd", options.passphraseFd),
        pinFd: parseDescriptor("--pin-fd", options.pinFd),
        // Whoever asked for JSON is a program and cannot type.
        isInteractive: options.json !== true,
      }),
    })
    this.engine = localEngine(createEngine(ports))
    this.isJson = options.json === true
    this.#abort = abort
    this.#close = close
  }

  async file(path: string): Promise<FileRef> {
    return this.engine.files.refer({ path })
  }

  async optionalFile(path: string | undefined): Promise<FileRef | null> {
    return path === undefined ? null : this.file(path)
  }

  /** The package a command names, or the one that is installed on the device. */
  async packageOf(path: string | undefined, device: string): Promise<FileRef> {
    if (path !== undefined) return this.file(path)
    return (await this.engine.deployment.installed({ device })).file
  }

  /** Starts a job and shows its progress on stderr until it ends. Ctrl-C cancels it. */
  async job<T>(
    start: (options: { readonly signal: AbortSignal }) => Promise<AsyncIterable<JobEvent<T>>>,
  ): Promise<T> {
    const bar = new ProgressBar(process.stderr)
    try {
      const events = await start({ signal: this.#abort.signal })
      return await followJob(events, (progress) => bar.show(progress))
    } finally {
      bar.clear()
    }
  }

  /** The one document on stdout: JSON, or text for people. */
  print(value: unknown, text: () => string): void {
    process.stdout.write(this.isJson ? `${JSON.stringify(value, null, 2)}\n` : `${text()}\n`)
  }

  /** Resolves when the user wants an end. What comes after still runs: an interruption is the ordinary end of such a command. */
  async interrupted(): Promise<void> {
    const { signal } = this.#abort
    if (signal.aborted) return
    // Waiting for a signal alone does not keep a process up.
    const keepAlive = setInterval(() => {}, 2 ** 30)
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))
    clearInterval(keepAlive)
  }

  /** For commands that wait for something else than a job. */
  onInterrupt(stop: () => void): void {
    this.#abort.signal.addEventListener("abort", stop, { once: true })
  }

  async close(): Promise<void> {
    await this.#close()
  }
}
