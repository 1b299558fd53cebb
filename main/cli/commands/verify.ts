import { exitCodeFor } from "../../contract/errors.ts"
import type { Register } from "../main.ts"
import { policyLine } from "../policy-text.ts"
import { checkLine, durationText, notAppliedText, safeText } from "../text.ts"

interface Options {
  readonly device?: string
  readonly trust?: string
}

export const registerVerify: Register = (program, run) => {
  program
    .command("verify")
    .argument("<package>", ".seal file")
    .option("--device <name>", "also open it as this device and check what is inside")
    .option("--trust <path>", "public key (PEM) or folder of them to trust instead of this workspace's keys")
    .description("check a package without any network")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright verify model.seal --device press-07 --trust release-1.pem",
    )
    .action(async (file: string, options: Options, command) =>
      run(command, async (context) => {
        const verdict = await context.job(async (control) =>
          context.engine.verify(
            {
              file: await context.file(file),
              device: options.device ?? null,
              trust: await context.optionalFile(options.trust),
            },
            control,
          ),
        )
        context.print(verdict, () =>
          [
            ...verdict.checks.map(checkLine),
            `${verdict.verdict === "verified" ? "VERIFIED" : "REFUSED"} ${safeText(verdict.name)} in ${durationText(verdict.seconds)}`,
            verdict.policy === null ? "" : policyLine(options.device ?? "", verdict.policy),
            notAppliedText(verdict.notApplied),
          ]
            .filter((line) => line !== "")
            .join("\n"),
        )
        return verdict.verdict === "verified" ? 0 : exitCodeFor("VERDICT_REFUSED")
      }),
    )
}
