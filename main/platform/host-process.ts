/** Starts the loopback host as a process of its own and stays until it ends. */
import { spawn } from "node:child_process"
import path from "node:path"
import { fileURLToPath } from "node:url"

const IS_SOURCE = import.meta.url.endsWith(".ts")
const ENTRY = fileURLToPath(new URL(IS_SOURCE ? "../host/serve.ts" : "../host/serve.js", import.meta.url))
/** Sources are two levels below the installation, and so is what is built from them. */
const PAGES = path.resolve(import.meta.dirname, "..", "..", "dist", "renderer")

export interface HostProcess {
  readonly pid: number | undefined
  /** The exit status; null when a signal ended it. */
  readonly exited: Promise<number | null>
  stop(): void
}

/** `isOpened`: whether the first link is opened in a browser; others are printed on standard output. */
export function startHostProcess(workspace: string, port: number, isOpened: boolean): HostProcess {
  const child = spawn(
    process.execPath,
    [ENTRY, workspace, String(port), isOpened ? "open" : "print", PAGES],
    {
      stdio: ["ignore", "inherit", "inherit"],
    },
  )
  return {
    pid: child.pid,
    exited: new Promise((resolve) => {
      child.once("exit", (code) => resolve(code))
      child.once("error", () => resolve(null))
    }),
    stop: () => child.kill("SIGTERM"),
  }
}
