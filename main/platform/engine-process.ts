/** Starts an engine process and connects to it. */
import { spawn } from "node:child_process"
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

const ENTRY = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../host/stdio.ts" : "../host/stdio.js", import.meta.url),
)

/** What runs the engine. A desktop shell is no Node itself and names the one it ships with. */
export interface EngineProgram {
  readonly node: string
  /** The engine's entry file. */
  readonly entry: string
  readonly env: NodeJS.ProcessEnv
}

const THIS_NODE: EngineProgram = { node: process.execPath, entry: ENTRY, env: process.env }

export function startEngineProcess(workspace: string, program = THIS_NODE): EngineProcess {
  const child = spawn(program.node, [program.entry, workspace], {
    stdio: ["pipe", "pipe", "inherit"],
    env: program.env,
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
