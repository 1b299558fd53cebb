import path from "node:path"
import type { Register } from "../main.ts"
import { bytesText, durationText, notAppliedText } from "../text.ts"
import { validationText } from "./validate.ts"

interface Options {
  readonly out: string
  readonly force?: boolean
}

export const registerQuickstart: Register = (program, run) => {
  program
    .command("quickstart")
    .option("--out <dir>", "folder for the results", "sealwright-quickstart")
    .option("--force", "replace results that exist")
    .description("protect, verify, run and validate the sample model")
    .addHelpText("after", "\nExample:\n  sealwright quickstart --out demo")
    .action(async (options: Options, command) =>
      run(command, async (context) => {
        const result = await context.job(async (control) =>
          context.engine.quickstart(
            { out: { file: await context.file(options.out), replace: options.force === true } },
            control,
          ),
        )
        context.print(result, () =>
          [
            `protected  ${result.protected.name}, ${bytesText(result.protected.bytes)}, signed by ${result.protected.signedBy.key}`,
            `verified   ${result.verdict.checks.length} checks passed, no network used`,
            `ran        ${result.ran.rows} images inside the sealed runtime (${result.ran.level.reached})`,
            `validated  ${validationText(result.validation)}`,
            notAppliedText(result.protected.notApplied),
            `done in ${durationText(result.seconds)}; open ${path.resolve(options.out, "report.html")}`,
          ].join("\n"),
        )
      }),
    )
}
