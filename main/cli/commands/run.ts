import { AppError } from "../../contract/errors.ts"
import type { Register } from "../main.ts"
import { parseBatch, parseLevel, parseNormalise } from "../options.ts"
import { durationText, safeText, shapeText } from "../text.ts"

interface Options {
  readonly device: string
  readonly trust?: string
  readonly input: readonly string[]
  readonly output?: string
  readonly outputName?: string
  readonly normalise?: string
  readonly batch?: string
  readonly level?: string
  readonly force?: boolean
}

export const registerRun: Register = (program, run) => {
  program
    .command("run")
    .argument("[package]", ".seal file (default: what is installed on the device)")
    .requiredOption("--device <name>", "the device whose key opens it")
    .requiredOption("--input <array...>", "X.npy, or NAME=X.npy for each input of a model with several")
    .option("--output <file>", "where to write the output as .npy")
    .option("--output-name <name>", "which output to write (default: the first)")
    .option("--normalise <mean,std>", "feed (x - mean) / std, with x/255 for bytes")
    .option("--batch <rows>", "rows a call, where the model leaves that open")
    .option(
      "--level <R0|R1|R2>",
      "refuse to run below this level (default: the highest this machine reaches)",
    )
    .option("--trust <path>", "public key (PEM) or folder of them to trust instead of this workspace's keys")
    .option("--force", "replace the output if it exists")
    .description("inference inside the sealed runtime")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright run model.seal --device press-07 --input images.npy --output logits.npy",
    )
    .action(async (file: string | undefined, options: Options, command) =>
      run(command, async (context) => {
        const result = await context.job(async (control) =>
          context.engine.run(
            {
              file: await context.packageOf(file, options.device),
              device: options.device,
              trust: await context.optionalFile(options.trust),
              inputs: await Promise.all(
                options.input.map(async (text) => {
                  const { name, path } = parseInput(text, options.input.length)
                  return { name, file: await context.file(path) }
                }),
              ),
              normalise: parseNormalise(options.normalise),
              batch: parseBatch(options.batch),
              level: parseLevel(options.level),
              output:
                options.output === undefined
                  ? null
                  : {
                      file: await context.file(options.output),
                      replace: options.force === true,
                      name: options.outputName ?? null,
                    },
            },
            control,
          ),
        )
        context.print(result, () =>
          [
            `${result.rows} rows in batches of ${result.batch} at level ${result.level.reached}: loaded in ${durationText(result.loadSeconds)}, ran in ${durationText(result.runSeconds)}`,
            ...(result.level.reason === "" ? [] : [`  no higher level: ${safeText(result.level.reason)}`]),
            ...result.conversions.map((text) => `  data: ${text}`),
            ...result.outputs.map(
              ({ name, type, shape }) => `  output ${safeText(name)}: ${type} ${shapeText(shape)}`,
            ),
          ].join("\n"),
        )
      }),
    )
}

/** `NAME=FILE` only where there are several inputs: file names may hold an equals sign. */
function parseInput(text: string, count: number): { readonly name: string | null; readonly path: string } {
  const equals = text.indexOf("=")
  if (equals > 0 && (count > 1 || !text.slice(0, equals).includes("/"))) {
    return { name: text.slice(0, equals), path: text.slice(equals + 1) }
  }
  if (count > 1) throw new AppError("USAGE", "with several inputs, give each as NAME=FILE")
  return { name: null, path: text }
}
