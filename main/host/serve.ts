/**
 * The loopback host as a process: `serve.ts <workspace> <port> <open|print> <pages>`. Prints one link a line on standard
 * output, or opens it; ends with a signal. Nothing secret is ever an argument of a process.
 */
import { spawn } from "node:child_process"
import { AppError, toAppError } from "../contract/errors.ts"
import { startLoopbackHost } from "./loopback.ts"
import { openPrivately } from "./open-link.ts"

const [workspace = "", port = "0", how = "print", pages = ""] = process.argv.slice(2)

process.exitCode = await main()

async function main(): Promise<number> {
  let isFirst = true
  const opened: Promise<() => Promise<void>>[] = []
  try {
    const host = await startLoopbackHost({
      workspace,
      port: Number(port),
      pages,
      onLink: (link) => {
        const isOpened = isFirst && how === "open"
        isFirst = false
        if (isOpened) opened.push(openPrivately(link, workspace, launch))
        else process.stdout.write(`${link}\n`)
      },
    })
    await ended()
    await host.close()
    return 0
  } catch (error) {
    const refusal = isPortTaken(error)
      ? new AppError("PORT_TAKEN", `port ${port} is not free`)
      : toAppError(error)
    process.stderr.write(`sealwright: ${refusal.message} [${refusal.code}]\n  ${refusal.hint}\n`)
    return refusal.exitCode
  } finally {
    for (const removePage of await Promise.all(opened)) await removePage()
  }
}

async function ended(): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve())
  })
}

function launch(file: string): void {
  const [command, ...args] =
    process.platform === "darwin"
      ? ["open", file]
      : process.platform === "win32"
        ? ["rundll32", "url.dll,FileProtocolHandler", file]
        : ["xdg-open", file]
  const child = spawn(command ?? "", args, { stdio: "ignore", detached: true })
  child.once("error", () =>
    process.stderr.write(`sealwright: no browser could be started; open this page yourself: ${file}\n`),
  )
  child.unref()
}

function isPortTaken(error: unknown): boolean {
  return error instanceof Error && "code" in error && ["EADDRINUSE", "EACCES"].includes(String(error.code))
}
