import type { Command } from "commander"
import { AppError } from "../../contract/errors.ts"
import type { Key } from "../../contract/schema/keys.ts"
import { addPlaceOptions, choosePlace, type PlaceOptions } from "../key-place.ts"
import type { Register } from "../main.ts"
import { safeText, table } from "../text.ts"
import { describeCertificate, registerCertificates } from "./certificates.ts"
import { checkRows } from "./doctor.ts"

interface CreateOptions extends PlaceOptions {
  readonly purpose: Key["purpose"]
  readonly postQuantum?: boolean
}

export const registerKeys: Register = (program, run) => {
  const keys = program.command("keys").description("make and look at signing keys and device keys")
  addPlaceOptions(
    keys
      .command("create")
      .argument("<name>", "what to call the key")
      .option("--purpose <purpose>", "signing, device or attestation", "signing")
      .option("--post-quantum", "device keys: the hybrid age1tagpq1… (P-256 and ML-KEM-768)"),
  )
    .description("make a key, or take over one that hardware holds")
    .addHelpText(
      "after",
      `
Examples:
  sealwright keys create release-1
  sealwright keys create press-07 --purpose device --provider tpm2 --tcti device:/dev/tpmrm0
  sealwright keys create desk --provider pkcs11 --uri 'pkcs11:token=desk?module-path=/usr/lib/softhsm/libsofthsm2.so'`,
    )
    .action(async (name: string, options: CreateOptions, command: Command) =>
      run(command, async (context) => {
        const algorithm = options.postQuantum === true ? "P-256+ML-KEM-768" : "P-256"
        const key = await context.engine.keys.create({
          name,
          purpose: options.purpose,
          algorithm,
          place: choosePlace(options),
        })
        context.print(key, () => describe(key))
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
                ["NAME", "PURPOSE", "KIND", "PROVIDER", "LEVEL", "FINGERPRINT"],
                ...found.map((key) => [
                  key.name,
                  key.purpose,
                  key.algorithm,
                  key.provider,
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
    .option("--pem", "print the public half of a signing key alone, for others to trust")
    .description("one key, with its public half and its certificates")
    .addHelpText(
      "after",
      "\nExamples:\n  sealwright keys show release-1\n  sealwright keys show release-1 --pem > release-1.pem",
    )
    .action(async (name: string, options: { readonly pem?: boolean }, command) =>
      run(command, async (context) => {
        const key = await context.engine.keys.show({ name })
        if (options.pem === true) {
          const { publicKeyPem } = key
          if (publicKeyPem === null) throw new AppError("KEY_PURPOSE", `key ${name} cannot sign`)
          context.print({ publicKeyPem }, () => publicKeyPem.trimEnd())
          return
        }
        context.print(key, () =>
          [
            describe(key),
            key.recipient,
            key.publicKeyPem?.trimEnd(),
            ...key.certificates.map((certificate) => describeCertificate(certificate)),
          ]
            .filter(Boolean)
            .join("\n"),
        )
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
  registerCertificates(keys, run)
  keys
    .command("doctor")
    .description("what key hardware this computer has, what works, and why the rest does not")
    .addHelpText("after", "\nExample:\n  sealwright keys doctor")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const checks = await context.engine.keys.doctor()
        context.print(checks, () => table(checkRows(checks)))
      }),
    )
}

function describe(key: Key): string {
  return [
    `${key.name}: ${key.purpose} key, ${key.algorithm}, ${key.assurance}, fingerprint ${key.fingerprint}`,
    `  ${key.provider}: ${safeText(key.location)}`,
    ...key.evidence.map((fact) => `  ${safeText(fact)}`),
  ].join("\n")
}
