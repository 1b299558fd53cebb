import type { Ledger } from "../../contract/schema/ledger.ts"
import type { Register } from "../main.ts"
import { bytesText, safeText, shortDigest, table } from "../text.ts"

export const registerLedger: Register = (program, run) => {
  const ledger = program.command("ledger").description("the owner's secret record of marks and devices")
  ledger
    .command("init")
    .option("--owner-key <name>", "device key of this workspace that opens it (default: a new software key)")
    .option("--recipient <recipient...>", "further age recipients that can open it, such as one kept offline")
    .description("make a ledger")
    .addHelpText("after", "\nExample:\n  sealwright ledger init --recipient age1…")
    .action(
      async (options: { readonly ownerKey?: string; readonly recipient?: readonly string[] }, command) =>
        run(command, async (context) => {
          const made = await context.engine.ledger.init({
            ownerKey: options.ownerKey ?? null,
            recipients: [...(options.recipient ?? [])],
          })
          context.print(made, () => ledgerText(made))
        }),
    )
  ledger
    .command("status")
    .description("what the ledger knows")
    .addHelpText("after", "\nExample:\n  sealwright ledger status")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const status = await context.engine.ledger.status()
        context.print(status, () => ledgerText(status))
      }),
    )
  ledger
    .command("export")
    .argument("<file>", "the backup to write")
    .option("--force", "replace the file if it exists")
    .description("back the ledger up into one file, still encrypted")
    .addHelpText("after", "\nExample:\n  sealwright ledger export ledger.backup")
    .action(async (file: string, options: { readonly force?: boolean }, command) =>
      run(command, async (context) => {
        const made = await context.engine.ledger.export({
          output: { file: await context.file(file), replace: options.force === true },
        })
        context.print(made, () =>
          [
            `exported ${safeText(made.name)}: ${bytesText(made.bytes)}, ${made.segments} segments`,
            `  of no use without ${safeText(made.alsoNeeded)}`,
          ].join("\n"),
        )
      }),
    )
  ledger
    .command("import")
    .argument("<file>", "a backup")
    .option("--identity <file>", "the owner's age identity, when it is a software key")
    .description("take over a backup in a workspace without a ledger")
    .addHelpText("after", "\nExample:\n  sealwright ledger import ledger.backup --identity owner.txt")
    .action(async (file: string, options: { readonly identity?: string }, command) =>
      run(command, async (context) => {
        const status = await context.engine.ledger.import({
          file: await context.file(file),
          identity: await context.optionalFile(options.identity),
        })
        context.print(status, () => ledgerText(status))
      }),
    )
}

function ledgerText(ledger: Ledger): string {
  const owner =
    ledger.owner.kind === "file" ? "a software key beside it" : `key ${safeText(ledger.owner.name)}`
  return [
    `ledger ${ledger.id}: ${ledger.devices.length} devices, ${ledger.models.length} models, ${ledger.copies} copies issued`,
    `  opened by ${owner}, readable by ${ledger.recipients.length} recipient(s), ${ledger.segments} segments`,
    ledger.exportedAt === null
      ? "  never exported: without a backup and its owner's key no leak can be traced"
      : `  last exported ${ledger.exportedAt}`,
    ...(ledger.models.length === 0
      ? []
      : [
          table([
            ["  MODEL", "TENSORS", "COPIES", "COMMITMENT"],
            ...ledger.models.map(({ name, tensors, copies, commitment }) => [
              `  ${safeText(name)}`,
              String(tensors),
              String(copies),
              shortDigest(commitment),
            ]),
          ]),
        ]),
  ].join("\n")
}
