import type { Register } from "../main.ts"
import { bytesText, safeText } from "../text.ts"

interface Options {
  readonly device: string
  readonly trust?: string
  readonly output: string
  readonly force?: boolean
}

export const registerOpen: Register = (program, run) => {
  program
    .command("open")
    .argument("<package>", ".seal file")
    .requiredOption("--device <name>", "the device whose key opens it")
    .option("--trust <path>", "public key (PEM) or folder of them to trust instead of this workspace's keys")
    .requiredOption("-o, --output <file>", "the model to write; external data goes beside it")
    .option("--force", "replace files that exist")
    .description("recover the plaintext model, as its key holder")
    .addHelpText("after", "\nExample:\n  sealwright open model.seal --device press-07 -o model.onnx")
    .action(async (file: string, options: Options, command) =>
      run(command, async (context) => {
        const opened = await context.job(async (control) =>
          context.engine.open(
            {
              file: await context.file(file),
              device: options.device,
              trust: await context.optionalFile(options.trust),
              output: { file: await context.file(options.output), replace: options.force === true },
            },
            control,
          ),
        )
        context.print(opened, () =>
          opened.files
            .map(({ name, bytes }) => `wrote ${safeText(name)}, ${bytesText(bytes)}: plaintext, keep it safe`)
            .join("\n"),
        )
      }),
    )
}
