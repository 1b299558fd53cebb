import type { Register } from "../main.ts"
import type { Key } from "../../contract/schema/keys.ts"
import { table } from "../text.ts"

export const registerKeys: Register = (program, run) => {
  const keys = program.command("keys").description("make and look at signing keys and device keys")
  keys
    .command("create")
    .argument("<name>", "what to call the key")
    .option("--purpose <purpose>", "signing or device", "signing")
    .description("make a P-256 key in this workspace")
    .addHelpText("after", "\nExample:\n  sealwright keys create release-1")
    .action(async (name: string, options: { readonly purpose: Key["purpose"] }, command) =>
      run(command, async (context) => {
        const key = await context.engine.keys.create({ name, purpose: options.purpose })
        context.print(key, () => `${describe(key)}\n  a software key: protected by file permissions only`)
      }),
    )
  keys
    .command("list")
    .description("all keys of this workspace")
    .addHelpText("after", "\nExample:\n  sealwright keys list --json")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const found = await context.engine.keys.list()
        context.print(found, () =>
          found.length === 0
            ? "no keys yet: sealwright keys create NAME"
            : table([
                ["NAME", "PURPOSE", "KIND", "LEVEL", "FINGERPRINT"],
                ...found.map((key) => [
                  key.name,
                  key.purpose,
                  key.algorithm,
                  key.assurance,
                  key.fingerprint.slice(0, 16),
                ]),
              ]),
        )
      }),
    )
  keys
    .command("show")
    .argument("<name>")
    .description("one key, with its public half")
    .addHelpText("after", "\nExample:\n  sealwright keys show release-1")
    .action(async (name: string, _options, command) =>
      run(command, async (context) => {
        const key = await context.engine.keys.show({ name })
        context.print(key, () => `${describe(key)}\n${(key.publicKeyPem ?? key.recipient ?? "").trimEnd()}`)
      }),
    )
  keys
    .command("remove")
    .argument("<name>")
    .description("delete a key; what it alone could open is lost")
    .addHelpText("after", "\nExample:\n  sealwright keys remove old-key")
    .action(async (name: string, _options, command) =>
      run(command, async (context) => {
        const key = await context.engine.keys.remove({ name })
        context.print(key, () => `removed ${key.purpose} key ${key.name}`)
      }),
    )
}

function describe(key: Key): string {
  return `${key.name}: ${key.purpose} key, ${key.algorithm}, ${key.assurance}, fingerprint ${key.fingerprint}`
}
