import { AppError } from "../../contract/errors.ts"
import type { Key, KeyPlace } from "../../contract/schema/keys.ts"
import type { Register } from "../main.ts"
import { safeText, table } from "../text.ts"
import { checkRows } from "./doctor.ts"

interface CreateOptions {
  readonly purpose: Key["purpose"]
  readonly provider: string
  readonly passphrase?: boolean
  readonly postQuantum?: boolean
  readonly tcti?: string
  readonly handle?: string
  readonly persistent?: boolean
  readonly auth?: boolean
  readonly pcrs?: string
  readonly uri?: string
  readonly adopt?: boolean
}

export const registerKeys: Register = (program, run) => {
  const keys = program.command("keys").description("make and look at signing keys and device keys")
  keys
    .command("create")
    .argument("<name>", "what to call the key")
    .option("--purpose <purpose>", "signing, device or attestation", "signing")
    .option("--provider <provider>", "where it lives: software, keyring, tpm2 or pkcs11", "software")
    .option("--post-quantum", "device keys: the hybrid age1tagpq1… (P-256 and ML-KEM-768)")
    .option("--passphrase", "software: ask for a passphrase, now and at every use")
    .option("--tcti <tcti>", "tpm2: how to reach the TPM, as device:/dev/tpmrm0 (default: SEALWRIGHT_TCTI)")
    .option("--handle <handle>", "tpm2: take over the key at this persistent handle, as 0x81000010")
    .option("--persistent", "tpm2: keep the key inside the TPM")
    .option("--auth", "tpm2: ask for an authorisation value, now and at every use")
    .option("--pcrs <list>", "tpm2: bind the key to the present values of these PCRs, as 0,2,7")
    .option("--uri <uri>", "pkcs11: module and token, as pkcs11:token=desk?module-path=/usr/lib/…so")
    .option("--adopt", "pkcs11: take over the key the URI names")
    .description("make a key, or take over one that hardware holds")
    .addHelpText(
      "after",
      `
Examples:
  sealwright keys create release-1
  sealwright keys create press-07 --purpose device --provider tpm2 --tcti device:/dev/tpmrm0
  sealwright keys create desk --provider pkcs11 --uri 'pkcs11:token=desk?module-path=/usr/lib/softhsm/libsofthsm2.so'`,
    )
    .action(async (name: string, options: CreateOptions, command) =>
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
    .description("one key, with its public half")
    .addHelpText("after", "\nExample:\n  sealwright keys show release-1")
    .action(async (name: string, _options, command) =>
      run(command, async (context) => {
        const key = await context.engine.keys.show({ name })
        context.print(key, () =>
          [describe(key), key.recipient, key.publicKeyPem?.trimEnd()].filter(Boolean).join("\n"),
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

function choosePlace(options: CreateOptions): KeyPlace {
  switch (options.provider) {
    case "software":
      return { provider: "software", passphrase: options.passphrase === true }
    case "keyring":
      return { provider: "keyring" }
    case "tpm2":
      return {
        provider: "tpm2",
        tcti: options.tcti ?? null,
        adopt: options.handle === undefined ? null : parseHandle(options.handle),
        persistent: options.persistent === true,
        auth: options.auth === true,
        pcrs: parsePcrs(options.pcrs),
      }
    case "pkcs11":
      if (options.uri === undefined) throw new AppError("USAGE", "provider pkcs11 needs --uri pkcs11:…")
      return { provider: "pkcs11", uri: options.uri, adopt: options.adopt === true }
    default:
      throw new AppError(
        "USAGE",
        `the provider is software, keyring, tpm2 or pkcs11, not ${options.provider.slice(0, 40)}`,
      )
  }
}

function parseHandle(text: string): number {
  if (!/^0x81[0-7][0-9a-f]{5}$/i.test(text))
    throw new AppError("USAGE", "--handle takes a persistent handle from 0x81000000 to 0x817fffff")
  return Number(text)
}

function parsePcrs(text: string | undefined): number[] {
  if (text === undefined) return []
  const pcrs = text.split(",").map(Number)
  if (pcrs.some((pcr) => !Number.isInteger(pcr) || pcr < 0 || pcr > 23))
    throw new AppError("USAGE", "--pcrs takes numbers from 0 to 23, separated by commas")
  return [...new Set(pcrs)].sort((a, b) => a - b)
}

function describe(key: Key): string {
  return [
    `${key.name}: ${key.purpose} key, ${key.algorithm}, ${key.assurance}, fingerprint ${key.fingerprint}`,
    `  ${key.provider}: ${safeText(key.location)}`,
    ...key.evidence.map((fact) => `  ${safeText(fact)}`),
  ].join("\n")
}
