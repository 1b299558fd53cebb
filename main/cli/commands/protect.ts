import { AppError } from "../../contract/errors.ts"
import type { Mode } from "../../contract/schema/base.ts"
import type { Register } from "../main.ts"
import { bytesText, durationText, notAppliedText, shortDigest } from "../text.ts"

interface Options {
  readonly device: readonly string[]
  readonly sign?: string
  readonly escrow?: readonly string[]
  readonly mode: string
  readonly policy?: string
  readonly output: string
  readonly force?: boolean
}

export const registerProtect: Register = (program, run) => {
  program
    .command("protect")
    .argument("<model>", "ONNX model; external data is found beside it")
    .requiredOption("--device <name...>", "devices that may open it")
    .option("--sign <key>", "signing key (default: the only one, or a new one)")
    .option("--escrow <recipient...>", "age recipients that can also open the payload")
    .option(
      "--mode <mode>",
      "individual: a payload for each device; fleet: one payload, small grants",
      "individual",
    )
    .option(
      "--policy <file>",
      "JSON file: validity window, runtime level, firewall rules (docs/FORMAT.md 5.2)",
    )
    .option("--no-mark", "do not mark the model (this version never does)")
    .requiredOption("-o, --output <file>", "the .seal file to write")
    .option("--force", "replace the output if it exists")
    .description("sign, encrypt and package a model for devices")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright protect model.onnx --device press-07 --sign release-1 -o model.seal",
    )
    .action(async (model: string, options: Options, command) =>
      run(command, async (context) => {
        const result = await context.job(async (control) =>
          context.engine.protect(
            {
              model: await context.file(model),
              devices: [...options.device],
              signingKey: options.sign ?? null,
              escrow: [...(options.escrow ?? [])],
              mode: parseMode(options.mode),
              policy: await context.optionalFile(options.policy),
              output: { file: await context.file(options.output), replace: options.force === true },
            },
            control,
          ),
        )
        context.print(result, () =>
          [
            `sealed ${result.name}: ${bytesText(result.bytes)} for ${result.devices.join(", ")} in ${durationText(result.seconds)}`,
            `  signed by ${result.signedBy.key} (${result.signedBy.assurance}${result.signedBy.created ? ", made just now" : ""})`,
            `  package ${result.packages.map(({ digest }) => shortDigest(digest)).join(", ")}, ${result.mode} mode`,
            notAppliedText(result.notApplied),
          ].join("\n"),
        )
      }),
    )
}

function parseMode(text: string): Mode {
  if (text === "individual" || text === "fleet") return text
  throw new AppError("USAGE", `the mode is individual or fleet, not ${text.slice(0, 40)}`)
}
