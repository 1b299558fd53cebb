/** Folders, the sample corpus, and the CLI as a user starts it. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { Writable } from "node:stream"
import { afterAll, onTestFinished } from "vitest"

export const ROOT = path.resolve(import.meta.dirname, "..", "..")
export const MODELS = path.join(ROOT, "test", "models", "models")
export const DATA = path.join(ROOT, "test", "models", "data")

/** A folder that is gone when the test is over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A folder for the tests of one suite. */
export function sharedFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-"))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface CliResult {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** What file descriptors 3, 4… hold, for options that take one. */
  readonly descriptors?: readonly string[]
  /** Called when something appears on standard error, with a way to signal the process; only the first signal is sent. */
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void
  readonly onStdout?: (text: string, kill: (signal: NodeJS.Signals) => void) => void
  /** Nobody reads standard output: the pipe's other end is closed before the command writes. */
  readonly closesStdout?: boolean
}

const BIN = path.join(ROOT, "main", "cli", "bin.mjs")

/** Runs `sealwright` and waits for its end, whatever it is. */
export async function cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe", ...(options.descriptors ?? []).map(() => "pipe" as const)],
  })
  options.descriptors?.forEach((text, index) => {
    const pipe = child.stdio[index + 3]
    // A command that never reads its answer closes the pipe, which is no fault of the test.
    if (pipe instanceof Writable) pipe.on("error", () => {}).end(text)
  })
  let stdout = ""
  let stderr = ""
  // A second signal would meet a process that is ending and no longer catches any.
  let isSignalled = false
  const kill = (signal: NodeJS.Signals) => {
    if (!isSignalled) child.kill(signal)
    isSignalled = true
  }
  if (options.closesStdout === true) child.stdout?.destroy()
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
    options.onStdout?.(text, kill)
  })
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
    options.onStderr?.(text, kill)
  })
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (status, signal) => resolve({ status, signal, stdout, stderr }))
  })
}

/** What a failing command says with --json. */
export interface Refusal {
  readonly code: string
  readonly message: string
  readonly hint: string
  readonly exitCode: number
}

/** Runs a command with --json and returns its document. Throws with everything it printed when it did not succeed. */
export async function cliJson<T>(args: readonly string[], options?: CliOptions): Promise<T> {
  const result = await cli([...args, "--json"], options)
  if (result.status !== 0) throw new Error(`exit ${result.status}: ${result.stdout}${result.stderr}`)
  return JSON.parse(result.stdout) as T // the caller names the shape of the command it ran
}

/** Runs a command that must fail, with --json, and returns its refusal and status. */
export async function cliRefusal(
  args: readonly string[],
  options?: CliOptions,
): Promise<Refusal & { readonly status: number | null }> {
  const result = await cli([...args, "--json"], options)
  if (result.status === 0) throw new Error(`succeeded: ${result.stdout}`)
  const { error } = JSON.parse(result.stdout) as { readonly error: Refusal } // the form every refusal has
  return { ...error, status: result.status }
}
