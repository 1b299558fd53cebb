import { AppError } from "../../contract/errors.ts"
import type { Register } from "../main.ts"
import { safeText, shortDigest } from "../text.ts"

export const registerLog: Register = (program, run) => {
  const log = program.command("log").description("what was done with the trust root, signed and in order")
  log
    .command("show")
    .description("all entries, checked against the signed checkpoint")
    .addHelpText("after", "\nExample:\n  sealwright log show")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const found = await context.engine.log.show()
        context.print(found, () =>
          [
            ...found.entries.map(({ index, time, act, what, digests }) =>
              `${index}  ${time}  ${act}  ${safeText(what)}  ${digests.map(shortDigest).join(" ")}`.trimEnd(),
            ),
            `${found.size} entries, root ${found.root}`,
          ].join("\n"),
        )
      }),
    )
  log
    .command("prove")
    .argument("<index>", "number of the entry")
    .requiredOption("-o, --output <file>", "the .tlog-proof file to write")
    .option("--force", "replace the output if it exists")
    .description("a proof that an entry is in the log, for somebody who has only the checkpoint's key")
    .addHelpText("after", "\nExample:\n  sealwright log prove 3 -o release.tlog-proof")
    .action(async (text: string, options: { readonly output: string; readonly force?: boolean }, command) =>
      run(command, async (context) => {
        const index = Number(text)
        if (!/^\d{1,9}$/.test(text)) throw new AppError("USAGE", "an entry is named by its number")
        const output = { file: await context.file(options.output), replace: options.force === true }
        const proved = await context.engine.log.prove({ index, output })
        context.print(proved, () => `entry ${index} of ${proved.size}: ${safeText(proved.entry.what)}`)
      }),
    )
}
