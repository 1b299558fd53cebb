import type { Command } from "commander"
import { AppError, exitCodeFor } from "../../contract/errors.ts"
import type { Check } from "../../contract/schema/verify.ts"
import type { Run } from "../main.ts"
import { addPlaceOptions, choosePlace, type PlaceOptions } from "../key-place.ts"
import { checkLine, safeText } from "../text.ts"

interface InitOptions extends PlaceOptions {
  readonly hardwareId?: string
  readonly output: string
  readonly force?: boolean
}

interface EnrolOptions {
  readonly output: string
  readonly ekRoots?: string
  readonly approveEk?: string
  readonly allowUnattested?: boolean
  readonly days: string
  readonly force?: boolean
}

/** `device init|enroll|respond|accept|revoke`: enrolment as an exchange of files, by stick or by mail. */
export function registerEnrolment(
  device: Command,
  run: (command: Command, work: Run) => Promise<void>,
): void {
  addPlaceOptions(
    device
      .command("init")
      .argument("<name>", "what the device is called")
      .option("--hardware-id <text>", "serial number (default: fingerprint of the TPM's endorsement key)"),
  )
    .requiredOption("-o, --output <file>", "the request to carry to the desk")
    .option("--force", "replace the output if it exists")
    .description("on the device: make its keys and a request for enrolment")
    .addHelpText("after", "\nExample:\n  sealwright device init press-07 --provider tpm2 -o press-07.request")
    .action(async (name: string, options: InitOptions, command: Command) =>
      run(command, async (context) => {
        const made = await context.engine.enrolment.init({
          name,
          place: choosePlace(options),
          hardwareId: options.hardwareId ?? null,
          request: { file: await context.file(options.output), replace: options.force === true },
        })
        context.print(made, () =>
          [
            `${name}: keys made, level claimed ${made.device.assurance}`,
            ...(made.endorsementFingerprint === null
              ? []
              : [
                  `  endorsement key ${made.endorsementFingerprint}${made.hasEndorsementCertificate ? ", with its maker's certificate" : ", without a certificate"}`,
                ]),
            `  next, at the desk: sealwright device enroll ${safeText(made.file)} -o ${name}.challenge`,
          ].join("\n"),
        )
      }),
    )
  device
    .command("enroll")
    .argument("<file>", "a device's request, or its response to a challenge")
    .requiredOption("-o, --output <file>", "where the challenge, or the certificates, go")
    .option("--ek-roots <path>", "root certificates of TPM makers (PEM file or folder)")
    .option("--approve-ek <sha256>", "fingerprint of an endorsement key you vouch for")
    .option("--allow-unattested", "take a TPM nobody vouches for, at level hardware")
    .option("--days <n>", "days the challenge may be answered", "7")
    .option("--force", "replace the output if it exists")
    .description("at the desk: challenge a device, then issue its certificates")
    .addHelpText(
      "after",
      "\nExamples:\n  sealwright device enroll press-07.request --ek-roots tpm-roots/ -o press-07.challenge\n  sealwright device enroll press-07.response -o press-07.certificates",
    )
    .action(async (file: string, options: EnrolOptions, command: Command) =>
      run(command, async (context) => {
        const result = await context.engine.enrolment.enrol({
          file: await context.file(file),
          output: { file: await context.file(options.output), replace: options.force === true },
          roots: await context.optionalFile(options.ekRoots),
          approve: options.approveEk?.toLowerCase() ?? null,
          allowUnattested: options.allowUnattested === true,
          challengeDays: parseDays(options.days),
        })
        context.print(result, () =>
          [...result.checks.map((check: Check) => checkLine(check)), ending(result)].join("\n"),
        )
        return result.kind === "refused" ? exitCodeFor("ATTESTATION_REFUSED") : 0
      }),
    )
  device
    .command("respond")
    .argument("<challenge>", "the desk's challenge")
    .requiredOption("-o, --output <file>", "the response to carry back")
    .option("--force", "replace the output if it exists")
    .description("on the device: answer the desk's challenge")
    .addHelpText("after", "\nExample:\n  sealwright device respond press-07.challenge -o press-07.response")
    .action(
      async (
        challenge: string,
        options: { readonly output: string; readonly force?: boolean },
        command: Command,
      ) =>
        run(command, async (context) => {
          const done = await context.engine.enrolment.respond({
            challenge: await context.file(challenge),
            output: { file: await context.file(options.output), replace: options.force === true },
          })
          context.print(
            done,
            () =>
              `${done.device}: answered; bring ${safeText(done.file)} to the desk before ${done.expiresAt}`,
          )
        }),
    )
  device
    .command("accept")
    .argument("<certificates>", "what the desk issued")
    .description("on the device: keep the certificates of its keys")
    .addHelpText("after", "\nExample:\n  sealwright device accept press-07.certificates")
    .action(async (certificates: string, _options: unknown, command: Command) =>
      run(command, async (context) => {
        const accepted = await context.engine.enrolment.accept({
          certificates: await context.file(certificates),
        })
        context.print(
          accepted,
          () =>
            `${accepted.device}: enrolled at level ${accepted.assurance}, valid until ${accepted.notAfter}`,
        )
      }),
    )
  device
    .command("revoke")
    .argument("[name...]", "devices whose certificates are withdrawn")
    .requiredOption("-o, --output <file>", "the revocation list (PEM)")
    .option("--force", "replace the output if it exists")
    .description("at the desk: withdraw certificates and write the current revocation list")
    .addHelpText("after", "\nExample:\n  sealwright device revoke press-07 -o devices.crl")
    .action(
      async (
        names: string[],
        options: { readonly output: string; readonly force?: boolean },
        command: Command,
      ) =>
        run(command, async (context) => {
          const issued = await context.engine.enrolment.revoke({
            devices: names,
            output: { file: await context.file(options.output), replace: options.force === true },
          })
          context.print(
            issued,
            () =>
              `list ${issued.number}: ${issued.serials.length} certificates withdrawn, next list before ${issued.nextUpdate}`,
          )
        }),
    )
}

function ending(
  result:
    | {
        readonly kind: "challenged"
        readonly device: string
        readonly file: string
        readonly expiresAt: string
      }
    | {
        readonly kind: "enrolled"
        readonly device: { readonly name: string; readonly assurance: string }
        readonly file: string
      }
    | { readonly kind: "refused"; readonly device: string },
): string {
  if (result.kind === "refused") return `REFUSED ${result.device}`
  return result.kind === "challenged"
    ? `next, on ${result.device}: sealwright device respond ${safeText(result.file)} (before ${result.expiresAt})`
    : `ENROLLED ${result.device.name} at level ${result.device.assurance}; bring it ${safeText(result.file)}`
}

function parseDays(text: string): number {
  const days = Number(text)
  if (!Number.isInteger(days) || days < 1 || days > 90)
    throw new AppError("USAGE", "--days takes a number from 1 to 90")
  return days
}
