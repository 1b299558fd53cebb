import { AppError } from "../../contract/errors.ts"
import { startHostProcess } from "../../platform/host-process.ts"
import type { Register } from "../main.ts"

interface Options {
  readonly port: string
  readonly open?: boolean
}

export const registerServe: Register = (program, run) => {
  program
    .command("serve")
    .option("--port <port>", "port on 127.0.0.1 (default: one that is free)", "0")
    .option("--open", "open the window in the default browser")
    .description("the desktop window in a browser of this computer; each printed link opens one window")
    .addHelpText("after", "\nExample:\n  sealwright serve --open")
    .action(async ({ port, open }: Options, command) =>
      run(command, async (context) => {
        const host = startHostProcess(context.workspace, parsePort(port), open === true)
        context.onInterrupt(() => host.stop())
        return (await host.exited) ?? 0
      }),
    )
}

function parsePort(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new AppError("USAGE", "--port takes a number from 0 to 65535")
  return port
}
