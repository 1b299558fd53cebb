import type { Command } from "commander"
import { AppError, exitCodeFor } from "../../contract/errors.ts"
import type { CertificateFacts, VerifyCertificate } from "../../contract/schema/certificates.ts"
import type { Run } from "../main.ts"
import { checkLine, safeText } from "../text.ts"

interface ImportOptions {
  readonly passphrase?: boolean
  readonly chain?: string
  readonly force?: boolean
}
interface RequestOptions {
  readonly subject: string
  readonly output: string
  readonly force?: boolean
}
interface AttachOptions {
  readonly roots?: string
  readonly crl: readonly string[]
  readonly purpose: string
}
interface VerifyOptions {
  readonly roots: string
  readonly crl: readonly string[]
  readonly purpose: string
  readonly at?: string
}

const PURPOSES = ["code-signing", "device-signing", "device-decryption", "endorsement-key"] as const

/** `keys import` and `keys certificate show|verify|request|attach`: credentials people already have. */
export function registerCertificates(
  keys: Command,
  run: (command: Command, work: Run) => Promise<void>,
): void {
  keys
    .command("import")
    .argument("<name>", "what to call the key")
    .argument("<file>", "PKCS#12 (.p12, .pfx) or PEM with a private key on P-256 or RSA")
    .option("--passphrase", "ask for a passphrase for the key, now and at every use")
    .option("--chain <file>", "write the certificates of the file there, as PEM")
    .option("--force", "replace the output if it exists")
    .description("take over a signing key from a file; its passphrase is asked for when it has one")
    .addHelpText("after", "\nExample:\n  sealwright keys import release-1 release.p12 --chain release.pem")
    .action(async (name: string, file: string, options: ImportOptions, command: Command) =>
      run(command, async (context) => {
        const made = await context.engine.keys.import({
          name,
          file: await context.file(file),
          passphrase: options.passphrase === true,
          chain:
            options.chain === undefined
              ? null
              : { file: await context.file(options.chain), replace: options.force === true },
        })
        context.print(made, () =>
          [
            `${made.key.name}: ${made.key.algorithm} signing key, ${made.key.assurance}, fingerprint ${made.key.fingerprint}`,
            ...made.certificates.map((certificate) => describeCertificate(certificate)),
          ].join("\n"),
        )
      }),
    )
  const certificate = keys.command("certificate").description("certificates, requests and revocation lists")
  certificate
    .command("show")
    .argument("<file>", "certificates or revocation lists, PEM or DER")
    .description("what the certificates and revocation lists of a file say")
    .addHelpText("after", "\nExample:\n  sealwright keys certificate show release.pem")
    .action(async (file: string, _options: unknown, command: Command) =>
      run(command, async (context) => {
        const shown = await context.engine.certificates.show({ file: await context.file(file) })
        context.print(shown, () =>
          [
            ...shown.certificates.map((one) => describeCertificate(one)),
            ...shown.lists.map(
              (list) =>
                `revocation list of ${safeText(list.issuer)}: ${list.serials.length} revoked, ${list.thisUpdate} to ${list.nextUpdate ?? "no end"}`,
            ),
          ].join("\n"),
        )
      }),
    )
  certificate
    .command("verify")
    .argument("<file>", "the certificate, then those above it as far as there are any")
    .requiredOption("--roots <path>", "certificates that are trusted (PEM file or folder)")
    .option("--crl <file>", "a revocation list; may be given again", collect, [])
    .option("--purpose <purpose>", PURPOSES.join(", "), "code-signing")
    .option("--at <time>", "judge at this time (ISO 8601, as 2026-03-01T00:00:00Z) instead of now")
    .description("whether a certificate leads to a trusted root, and what is wrong where it does not")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright keys certificate verify release.pem --roots company-root.pem --crl company.crl",
    )
    .action(async (file: string, options: VerifyOptions, command: Command) =>
      run(command, async (context) => {
        const judged = await context.engine.certificates.verify({
          file: await context.file(file),
          roots: await context.file(options.roots),
          lists: await Promise.all(options.crl.map(async (list) => context.file(list))),
          purpose: parsePurpose(options.purpose),
          at: parseTime(options.at),
        })
        context.print(judged, () =>
          [
            ...judged.checks.map((check) => checkLine(check)),
            judged.verdict === "trusted"
              ? `TRUSTED ${judged.path.map((subject) => safeText(subject)).join(" < ")}`
              : `REFUSED ${judged.problem ?? ""}`,
          ].join("\n"),
        )
        return judged.verdict === "trusted" ? 0 : exitCodeFor("SIGNER_UNTRUSTED")
      }),
    )
  certificate
    .command("request")
    .argument("<key>", "a signing key of this workspace, wherever it lives")
    .requiredOption("--subject <name>", "distinguished name, as CN=release-1, O=Example")
    .requiredOption("-o, --output <file>", "where the request goes (PKCS#10, PEM)")
    .option("--force", "replace the output if it exists")
    .description("ask an authority for a certificate; the key signs where it is")
    .addHelpText(
      "after",
      '\nExample:\n  sealwright keys certificate request release-1 --subject "CN=release-1, O=Example" -o release-1.csr',
    )
    .action(async (key: string, options: RequestOptions, command: Command) =>
      run(command, async (context) => {
        const made = await context.engine.certificates.request({
          key,
          subject: options.subject,
          output: { file: await context.file(options.output), replace: options.force === true },
        })
        context.print(made, () => `${safeText(made.file)}: request for ${safeText(made.subject)}`)
      }),
    )
  certificate
    .command("attach")
    .argument("<key>", "the signing key that was the certificate's request")
    .argument(
      "<file>",
      "what the authority sent back: the certificate, and those above it as far as there are any",
    )
    .option(
      "--roots <path>",
      "certificates that are trusted (PEM file or folder); without, the file is judged as far as it goes",
    )
    .option("--crl <file>", "a revocation list; may be given again", collect, [])
    .option("--purpose <purpose>", "code-signing or device-signing", "code-signing")
    .description("keep the certificate an authority gave a key, once it is for this key and good")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright keys certificate attach release-1 release-1.pem --roots company-root.pem",
    )
    .action(async (key: string, file: string, options: AttachOptions, command: Command) =>
      run(command, async (context) => {
        const purpose = parsePurpose(options.purpose)
        if (purpose !== "code-signing" && purpose !== "device-signing")
          throw new AppError("USAGE", "a signing key's certificate is for code-signing or device-signing")
        const attached = await context.engine.certificates.attach({
          key,
          file: await context.file(file),
          roots: await context.optionalFile(options.roots),
          lists: await Promise.all(options.crl.map(async (list) => context.file(list))),
          purpose,
        })
        const { judged, endsAtRoot } = attached
        context.print(attached, () =>
          [
            ...judged.checks.map((check) => checkLine(check)),
            ...(judged.verdict === "trusted"
              ? [
                  `ATTACHED ${safeText(judged.path[0] ?? "")} to ${attached.key}`,
                  ...(endsAtRoot
                    ? []
                    : [`  nobody vouched for ${safeText(judged.path.at(-1) ?? "")}: no --roots were given`]),
                ]
              : [`REFUSED ${judged.problem ?? ""}`]),
          ].join("\n"),
        )
        return judged.verdict === "trusted" ? 0 : exitCodeFor("SIGNER_UNTRUSTED")
      }),
    )
}

export function describeCertificate(one: CertificateFacts): string {
  return [
    safeText(one.subject === "" ? "(no subject)" : one.subject),
    `  issued by ${safeText(one.issuer)}, serial ${one.serial}`,
    `  ${one.key}, ${one.notBefore} to ${one.notAfter}, ${one.uses.join(", ")}`,
    `  SHA-256 ${one.fingerprint}`,
  ].join("\n")
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}

function parsePurpose(text: string): VerifyCertificate["purpose"] {
  const purpose = PURPOSES.find((candidate) => candidate === text)
  if (purpose === undefined) throw new AppError("USAGE", `--purpose is one of ${PURPOSES.join(", ")}`)
  return purpose
}

function parseTime(text: string | undefined): string | null {
  if (text === undefined) return null
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw new AppError("USAGE", "--at takes a time in ISO 8601")
  return time.toISOString()
}
