/** The command line: parses arguments, runs one command, and turns its end into an exit status. */
import { Command, CommanderError } from "commander"
import { AppError, toAppError } from "../contract/errors.ts"
import { COMMANDS } from "./command-list.ts"
import { productVersion } from "../platform/version.ts"
import type { Context, GlobalOptions } from "./context.ts"
import { safeText } from "./text.ts"

/** A command's work: the exit status, 0 unless it says otherwise. */
export type Run = (context: Context) => Promise<number | void>
export type Register = (program: Command, run: (command: Command, work: Run) => Promise<void>) => void

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const abort = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => abort.abort())
  // Who reads our output may have seen enough (`| head`): what goes on for them ends, and there is nobody to tell.
  process.stdout.on("error", () => abort.abort())
  process.stderr.on("error", () => {})
  let exitCode = 0
  const program = new Command("sealwright")
    .description("Protects machine-learning models that leave for the edge.")
    .version(productVersion(), "--version", "print the version of this installation")
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError()
  for (const register of COMMANDS) {
    register(program, async (command, work) => {
      // The engine is most of the program, and help and usage errors need none of it.
      const { Context } = await import("./context.ts")
      const context = new Context(command.optsWithGlobals<GlobalOptions>(), abort)
      try {
        exitCode = (await work(context)) ?? 0
      } finally {
        await context.close()
      }
    })
  }
  addGlobalOptions(program)
  try {
    await program.parseAsync(args, { from: "user" })
    return exitCode
  } catch (error) {
    return report(error, args.includes("--json"), abort.signal.aborted)
  }
}

/** Every command takes them, wherever they stand. */
function addGlobalOptions(command: Command): void {
  for (const child of command.commands) {
    if (child.commands.length > 0) addGlobalOptions(child)
    else {
      child
        .option("--json", "print one JSON document on standard output")
        .option(
          "--workspace <dir>",
          "folder of keys and devices (default: SEALWRIGHT_HOME or the user's data folder)",
        )
        .option("--passphrase-fd <number>", "file descriptor to read passphrases from, one line each")
        .option("--pin-fd <number>", "file descriptor to read token PINs from, one line each")
    }
  }
}

function report(error: unknown, isJson: boolean, isAborted: boolean): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0 // --help was asked for and printed
  const refusal = isAborted
    ? new AppError("CANCELLED", "the operation was cancelled")
    : error instanceof CommanderError
      ? new AppError(
          "USAGE",
          error.code === "commander.help" ? "a command is missing" : error.message.replace(/^error: /, ""),
        )
      : toAppError(error)
  const { code, message, hint, exitCode } = refusal
  if (isJson)
    process.stdout.write(`${JSON.stringify({ error: { code, message, hint, exitCode } }, null, 2)}\n`)
  process.stderr.write(`sealwright: ${safeText(message)} [${code}]\n  ${hint}\n`)
  return exitCode
}
