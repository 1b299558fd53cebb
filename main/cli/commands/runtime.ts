import type { Served } from "../../contract/schema/serving.ts"
import type { Register } from "../main.ts"
import { parseLevel } from "../options.ts"
import { bytesText, safeText, table } from "../text.ts"

interface StartOptions {
  readonly device: string
  readonly level?: string
  readonly trust?: string
  readonly client: readonly string[]
  readonly detach?: boolean
}

export const registerRuntime: Register = (program, run) => {
  const runtime = program.command("runtime").description("models that stay loaded and answer local clients")
  runtime
    .command("start")
    .argument("[package]", ".seal file (default: what is installed on the device)")
    .requiredOption("--device <name>", "the device whose key opens it")
    .option(
      "--level <R0|R1|R2>",
      "refuse to load below this level (default: the highest this machine reaches)",
    )
    .option("--client <name...>", "clients that get a token", ["local"])
    .option("--trust <path>", "public key (PEM) or folder of them to trust instead of this workspace's keys")
    .option("--detach", "return when it answers; it stays until `runtime stop`")
    .description("load a package behind its firewall and answer over a Unix socket")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright runtime start model.seal --device press-07 --level R2 --detach",
    )
    .action(async (file: string | undefined, options: StartOptions, command) =>
      run(command, async (context) => {
        const served = await context.job(async (control) =>
          context.engine.runtimes.start(
            {
              file: await context.packageOf(file, options.device),
              device: options.device,
              trust: await context.optionalFile(options.trust),
              level: parseLevel(options.level),
              clients: [...options.client],
            },
            control,
          ),
        )
        context.print(served, () => describe(served))
        if (options.detach === true) return
        await context.interrupted()
        await context.engine.runtimes.stop({ id: served.id })
      }),
    )
  runtime
    .command("status")
    .description("the runtimes of this workspace, their clients and what was noticed")
    .addHelpText("after", "\nExample:\n  sealwright runtime status --json")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const found = await context.engine.runtimes.list()
        context.print(found, () =>
          found.length === 0
            ? "nothing is being served: sealwright runtime start PACKAGE.seal --device NAME"
            : found.map(describe).join("\n\n"),
        )
      }),
    )
  runtime
    .command("stop")
    .argument("<id>")
    .description("unload a model; what it held in memory is wiped")
    .addHelpText("after", "\nExample:\n  sealwright runtime stop 1f2e3d4c")
    .action(async (id: string, _options, command) =>
      run(command, async (context) => {
        const stopped = await context.engine.runtimes.stop({ id })
        context.print(stopped, () => `stopped ${stopped.id}: ${stopped.rowsUsed} rows answered in all`)
      }),
    )
  runtime
    .command("clear")
    .argument("<id>")
    .argument("<client>")
    .description("forget what the extraction watch noticed about a client")
    .addHelpText("after", "\nExample:\n  sealwright runtime clear 1f2e3d4c local")
    .action(async (id: string, client: string, _options, command) =>
      run(command, async (context) => {
        const cleared = await context.engine.runtimes.clear({ id, client })
        context.print(cleared, () => describe(cleared))
      }),
    )
}

function describe(served: Served): string {
  const { level } = served
  return [
    `${served.id}: ${safeText(served.package)} for ${served.device} at level ${level.reached}, process ${served.pid}, ${bytesText(served.peakMemoryBytes)} at most`,
    ...(served.heap === null
      ? []
      : [
          `  ${bytesText(served.heap.liveBytes)} in ${served.heap.isSecret ? "secret" : "locked"} memory now`,
        ]),
    ...(level.reason === "" ? [] : [`  no higher level: ${safeText(level.reason)}`]),
    `  socket ${safeText(served.socket)}`,
    `  tokens in ${safeText(served.tokens)}`,
    table([
      ["CLIENT", "CALLS", "ROWS", "REFUSED", "NOTICED"],
      ...served.clients.map(({ client, calls, rows, refused, signs }) => [
        client,
        String(calls),
        String(rows),
        String(refused),
        signs.seen.length === 0 ? "nothing" : signs.seen.join(", "),
      ]),
    ]),
  ].join("\n")
}
