/** Starts an engine process and connects to it. */
import { spawn } from "node:child_process"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { connectEngine, type HostClient } from "../contract/client.ts"
import { framedPort } from "./framed-port.ts"

export interface EngineProcess {
  readonly engine: HostClient
  /** Process number; undefined when it could not be started. */
  readonly pid: number | undefined
  /** Resolves with the exit status once the process is gone, for whatever reason. */
  readonly exited: Promise<number | null>
  /** Ends the engine; running jobs are cancelled first. */
  readonly stop: () => Promise<void>
}

const IS_SOURCE = import.meta.url.endsWith(".ts")
const ENTRY = fileURLToPath(new URL(IS_SOURCE ? "../host/stdio.ts" : "../host/stdio.js", import.meta.url))

/**
 * The engine waits most of its life. Models and ciphertext lie outside of V8's heap, so a nursery of the usual size and four helpers
 * of the garbage collector would keep what starting needed and nothing else: some 20 MB less are resident, at the same speed.
 */
const NODE_OPTIONS = ["--max-semi-space-size=4", "--v8-pool-size=1"]

/** Compiled code of a checkout lies beside its packages; an installed product writes nothing where it lies. */
const NODE_COMPILE_CACHE = path.resolve(import.meta.dirname, "../../node_modules/.cache/sealwright/code")

/** What runs the engine. A desktop shell is no Node itself and names the one it ships with. */
export interface EngineProgram {
  readonly node: string
  /** The engine's entry file. */
  readonly entry: string
  readonly env: NodeJS.ProcessEnv
}

const THIS_NODE: EngineProgram = { node: process.execPath, entry: ENTRY, env: process.env }

export function startEngineProcess(workspace: string, program = THIS_NODE): EngineProcess {
  const child = spawn(program.node, [...NODE_OPTIONS, program.entry, workspace], {
    stdio: ["pipe", "pipe", "inherit"],
    env: IS_SOURCE ? { NODE_COMPILE_CACHE, ...program.env } : program.env,
    windowsHide: true,
  })
  const exited = new Promise<number | null>((resolve) => {
    child.once("exit", (code) => resolve(code))
    child.once("error", () => resolve(null))
  })
  return {
    engine: connectEngine(framedPort(child.stdout, child.stdin)),
    pid: child.pid,
    exited,
    stop: async () => {
      child.stdin.end()
      await exited
    },
  }
}
