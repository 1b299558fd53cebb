import type { Command } from "commander"
import { AppError, exitCodeFor } from "../../contract/errors.ts"
import type { DeploymentStatus } from "../../contract/schema/deployment.ts"
import type { Run } from "../main.ts"
import { parsePlace, type PlaceOptions } from "../place.ts"
import { safeText } from "../text.ts"
import { checkLine } from "../text.ts"

interface InstallOptions {
  readonly goldenInput?: string
  readonly goldenOutput?: string
  readonly tolerance: string
  readonly ifFetched?: boolean
}

interface SyncOptions extends PlaceOptions {
  readonly from?: string
  readonly registry?: string
}

interface ReceiptsOptions extends PlaceOptions {
  readonly output?: string
  readonly registry?: string
  readonly force?: boolean
}

/** The part of `sealwright device` that runs on the device itself. */
export function registerDeployment(
  device: Command,
  run: (command: Command, work: Run) => Promise<void>,
): void {
  device
    .command("provision")
    .argument("<name>")
    .requiredOption("--from <file>", ".seal file with the trust root to pin")
    .option("--hardware <id>", "the kind of device this is (default: any)")
    .description("pin the trust root and make the key that signs receipts; once, in a safe place")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright device provision press-07 --from pilot.seal --hardware jetson-orin",
    )
    .action(async (name: string, options: { readonly from: string; readonly hardware?: string }, command) =>
      run(command, async (context) => {
        const made = await context.engine.deployment.provision({
          device: name,
          from: await context.file(options.from),
          hardwareId: options.hardware ?? null,
        })
        context.print(made, () =>
          [
            `${made.device} trusts these roots from now on; compare them with \`sealwright trust show\` at the desk:`,
            `  image    ${made.imageRoot}`,
            `  director ${made.directorRoot}`,
            `device id ${made.deviceId}; receipts are signed by ${made.receiptKey.name}:`,
            made.receiptKey.publicKeyPem.trimEnd(),
            `a device that was not enrolled needs the desk to know that key: sealwright keys show ${made.receiptKey.name} --pem > KEY.pem here, sealwright fleet trust ${made.device} KEY.pem there`,
          ].join("\n"),
        )
      }),
    )
  device
    .command("sync")
    .argument("<name>")
    .option("--from <file>", ".seal file that was carried here")
    .option("--registry <place>", "HOST[:PORT]/NAME, or oci:FOLDER for a folder")
    .option("--plain-http", "reach the registry without TLS")
    .option("--ca <file>", "certificates (PEM) of an authority to trust besides the usual ones")
    .description("verify what the director and the release managers say, and fetch the package")
    .addHelpText(
      "after",
      "\nExamples:\n  sealwright device sync press-07 --from /media/usb/pilot.seal\n  sealwright device sync press-07 --registry registry.example/press/model",
    )
    .action(async (name: string, options: SyncOptions, command) =>
      run(command, async (context) => {
        const { from: file, registry } = options
        if ((file === undefined) === (registry === undefined))
          throw new AppError("USAGE", "give exactly one of --from and --registry")
        const from =
          registry === undefined
            ? await context.file(file ?? "")
            : (await parsePlace(context, registry, options)).place
        const status = await context.job(async (control) =>
          context.engine.deployment.sync({ device: name, from }, control),
        )
        context.print(status, () => statusText(status))
      }),
    )
  device
    .command("verify")
    .argument("<name>")
    .description("check everything about what this device runs again, without any network")
    .addHelpText("after", "\nExample:\n  sealwright device verify press-07")
    .action(async (name: string, _options, command) =>
      run(command, async (context) => {
        const verdict = await context.job(async (control) =>
          context.engine.deployment.verify({ device: name }, control),
        )
        const isGood = verdict.verdict === "verified"
        context.print(verdict, () =>
          [
            ...verdict.checks.map(checkLine),
            `${isGood ? "VERIFIED" : "REFUSED"} ${safeText(verdict.name)}`,
          ].join("\n"),
        )
        return isGood ? 0 : exitCodeFor("VERDICT_REFUSED")
      }),
    )
  device
    .command("install")
    .argument("<name>")
    .option("--golden-input <file>", "rows (.npy) to try the model on")
    .option("--golden-output <file>", "what it must answer")
    .option("--tolerance <difference>", "largest difference of an output", "1e-5")
    .option("--if-fetched", "succeed when nothing waits to be installed")
    .description("switch to the fetched package on trial; back by itself when it is not healthy")
    .addHelpText("after", "\nExample:\n  sealwright device install press-07")
    .action(async (name: string, options: InstallOptions, command) =>
      run(command, async (context) => {
        const { goldenInput: input, goldenOutput: output } = options
        const tolerance = Number(options.tolerance)
        if ((input === undefined) !== (output === undefined) || !(tolerance >= 0))
          throw new AppError(
            "USAGE",
            "give --golden-input and --golden-output together, and a tolerance from 0",
          )
        const golden =
          input === undefined || output === undefined
            ? null
            : { input: await context.file(input), output: await context.file(output), tolerance }
        const status = await context
          .job(async (control) => context.engine.deployment.install({ device: name, golden }, control))
          .catch(async (error: unknown) => {
            const isNothingNew = error instanceof AppError && error.code === "SLOT_EMPTY"
            if (options.ifFetched !== true || !isNothingNew) throw error
            return context.engine.deployment.status({ device: name })
          })
        context.print(status, () => statusText(status))
      }),
    )
  for (const [verb, description] of [
    ["commit", "keep the package that is on trial; nothing older is accepted from now on"],
    ["rollback", "back to the other slot, if the director allows it"],
    ["status", "slots, counters and what happened last"],
  ] as const) {
    device
      .command(verb)
      .argument("<name>")
      .description(description)
      .addHelpText("after", `\nExample:\n  sealwright device ${verb} press-07`)
      .action(async (name: string, _options, command) =>
        run(command, async (context) => {
          const status = await context.engine.deployment[verb]({ device: name })
          context.print(status, () => statusText(status))
        }),
      )
  }
  device
    .command("receipts")
    .argument("<name>")
    .option("-o, --output <file>", "the .seal file to write, to be carried back")
    .option("--registry <place>", "attach them to the grants in HOST[:PORT]/NAME or oci:FOLDER")
    .option("--plain-http", "reach the registry without TLS")
    .option("--ca <file>", "certificates (PEM) of an authority to trust besides the usual ones")
    .option("--force", "replace the output if it exists")
    .description("give out the receipts of this device")
    .addHelpText("after", "\nExample:\n  sealwright device receipts press-07 -o press-07.receipts.seal")
    .action(async (name: string, options: ReceiptsOptions, command) =>
      run(command, async (context) => {
        if ((options.output === undefined) === (options.registry === undefined))
          throw new AppError("USAGE", "give exactly one of --output and --registry")
        if (options.output === undefined) {
          const { place: to } = await parsePlace(context, options.registry ?? "", options)
          const made = await context.engine.deployment.deliver({ device: name, to })
          context.print(made, () => `delivered ${made.delivered} receipt(s), ${made.waiting} still wait`)
          return
        }
        const output = { file: await context.file(options.output), replace: options.force === true }
        const written = await context.engine.deployment.receipts({ device: name, output })
        context.print(written, () => `wrote ${written.receipts} receipt(s)`)
      }),
    )
}

function statusText(status: DeploymentStatus): string {
  const slotText = (name: string, slot: DeploymentStatus["incoming"]) =>
    slot === null
      ? []
      : [
          `  ${name}: ${safeText(slot.release)}, ${slot.state}, counter ${slot.counter}, ring ${safeText(slot.ring)}, holds until ${slot.expires}`,
        ]
  return [
    `${status.device}: ${status.result.detail}${status.result.code === null ? "" : ` [${status.result.code}]`}`,
    ...slotText(status.active === "a" ? "slot a (in use)" : "slot a", status.slots.a),
    ...slotText(status.active === "b" ? "slot b (in use)" : "slot b", status.slots.b),
    ...slotText("fetched", status.incoming),
    ...(status.receiptsWaiting === undefined || status.receiptsWaiting === 0
      ? []
      : [`  ${status.receiptsWaiting} receipt(s) no registry has yet`]),
    `  rollback floor: deployment ${status.floors.deployment}, release ${status.floors.release}, kept in ${status.floors.level}`,
    ...(status.isClockBehind
      ? [`  the clock is behind: the device knows that it is at least ${status.clockFloor}`]
      : []),
  ].join("\n")
}
