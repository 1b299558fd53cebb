/** Starts an engine process and connects to it. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { connectEngine, type HostClient } from "../contract/client.ts"
import { framedPort } from "./framed-port.ts"

export interface EngineProcess {
  readonly engine: HostClient
  /** Resolves with the exit status once the process is gone, for whatever reason. */
  readonly exited: Promise<number | null>
  /** Ends the engine; running jobs are cancelled first. */
  readonly stop: () => Promise<void>
}

const ENTRY = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../host/stdio.ts" : "../host/stdio.js", import.meta.url),
)

export function startEngineProcess(workspace: string): EngineProcess {
  const child = spawn(process.execPath, [ENTRY, workspace], {
    stdio: ["pipe", "pipe", "inherit"],
    windowsHide: true,
  })
  const exited = new Promise<number | null>((resolve) => {
    child.once("exit", (code) => resolve(code))
    child.once("error", () => resolve(null))
  })
  return {
    engine: connectEngine(framedPort(child.stdout, child.stdin)),
    exited,
    stop: async () => {
      child.stdin.end()
      await exited
    },
  }
}
