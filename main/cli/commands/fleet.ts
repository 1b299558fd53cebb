import { AppError } from "../../contract/errors.ts"
import type { FleetDevice, Imported, Ring } from "../../contract/schema/release.ts"
import type { Register } from "../main.ts"
import { parsePlace, type PlaceOptions } from "../place.ts"
import { bytesText, safeText, table } from "../text.ts"

export const registerFleet: Register = (program, run) => {
  const fleet = program.command("fleet").description("rings of devices, and what they report")
  fleet
    .command("ring")
    .argument("<name>")
    .argument("[devices...]", "its devices from now on; none shows them")
    .option("--none", "no device from now on")
    .description("show or set the devices of a ring")
    .addHelpText("after", "\nExample:\n  sealwright fleet ring pilot press-07 press-08")
    .action(async (name: string, devices: readonly string[], options: { readonly none?: boolean }, command) =>
      run(command, async (context) => {
        if (options.none === true && devices.length > 0) throw new AppError("USAGE", "give devices or --none")
        const isSet = options.none === true || devices.length > 0
        const ring = isSet
          ? await context.engine.fleet.setRing({ name, devices: [...devices] })
          : (await context.engine.fleet.rings()).find((each) => each.name === name)
        if (ring === undefined) throw new AppError("RING_NOT_FOUND", `there is no ring ${name}`)
        context.print(ring, () => ringText(ring))
      }),
    )
  fleet
    .command("rings")
    .description("all rings")
    .addHelpText("after", "\nExample:\n  sealwright fleet rings")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const rings = await context.engine.fleet.rings()
        context.print(rings, () =>
          rings.length === 0
            ? "no rings yet: sealwright fleet ring NAME DEVICE"
            : rings.map(ringText).join("\n"),
        )
      }),
    )
  fleet
    .command("trust")
    .argument("<device>")
    .argument("<key>", "the public key (PEM) that `device provision` printed")
    .description("let a device sign receipts")
    .addHelpText("after", "\nExample:\n  sealwright fleet trust press-07 press-07-receipts.pem")
    .action(async (device: string, key: string, _options, command) =>
      run(command, async (context) => {
        const known = await context.engine.fleet.trustReceipts({ device, key: await context.file(key) })
        context.print(known, () => `receipts of ${known.name} count from now on`)
      }),
    )
  fleet
    .command("status")
    .description("who runs what, who is behind, which receipts fail")
    .addHelpText("after", "\nExample:\n  sealwright fleet status")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const found = await context.engine.fleet.status()
        context.print(found, () =>
          [
            table([
              ["DEVICE", "RING", "WANTED", "RUNNING", "STATE", "RECEIPTS", "REPORTED"],
              ...found.map((each) => [
                each.device,
                each.ring ?? "–",
                each.wanted ?? "–",
                safeText(each.running ?? "–"),
                `${each.state}${each.detail === "" ? "" : ` (${each.detail})`}`,
                receiptsText(each.receipts),
                each.reportedAt ?? "–",
              ]),
            ]),
            ...found.flatMap(refusalLines),
          ].join("\n"),
        )
      }),
    )
  fleet
    .command("collect")
    .argument("<place>", "HOST[:PORT]/NAME, or oci:FOLDER for a folder")
    .option("--plain-http", "reach the registry without TLS")
    .option("--ca <file>", "certificates (PEM) of an authority to trust besides the usual ones")
    .description("take the receipts that devices left in a registry")
    .addHelpText("after", "\nExample:\n  sealwright fleet collect registry.example/press/model")
    .action(async (text: string, options: PlaceOptions, command) =>
      run(command, async (context) => {
        const { place: from } = await parsePlace(context, text, options)
        const { receipts } = await context.engine.fleet.collect({ from })
        context.print(receipts, () => receiptLines(receipts))
      }),
    )
  program
    .command("export")
    .option("--ring <ring>", "everything the devices of a ring need")
    .option("--device <name>", "everything one device needs")
    .requiredOption("-o, --output <file>", "the .seal file to write")
    .option("--force", "replace the output if it exists")
    .description("packages, grants, signatures and trust metadata as one file, for a USB stick")
    .addHelpText("after", "\nExample:\n  sealwright export --ring pilot -o pilot.seal")
    .action(
      async (
        options: {
          readonly ring?: string
          readonly device?: string
          readonly output: string
          readonly force?: boolean
        },
        command,
      ) =>
        run(command, async (context) => {
          const output = { file: await context.file(options.output), replace: options.force === true }
          const scope = scopeOf(options)
          const exported = await context.job(async (control) =>
            context.engine.fleet.export({ scope, output }, control),
          )
          context.print(
            exported,
            () =>
              `wrote ${exported.name}: ${bytesText(exported.bytes)} for ${exported.devices} device(s), ${exported.packages} package(s), holds until ${exported.expires ?? "–"}`,
          )
        }),
    )
  program
    .command("import")
    .argument("<file>", ".seal file with receipts of devices")
    .description("take the receipts that came back")
    .addHelpText("after", "\nExample:\n  sealwright import press-07.receipts.seal")
    .action(async (file: string, _options, command) =>
      run(command, async (context) => {
        const { receipts } = await context.engine.fleet.import({ file: await context.file(file) })
        context.print(receipts, () => receiptLines(receipts))
      }),
    )
}

function receiptsText({ good, quoted, refused }: FleetDevice["receipts"]): string {
  const shown = quoted === undefined || quoted === 0 ? "" : ` (${quoted} with the TPM's word)`
  return `${good} good${shown}, ${refused} refused`
}

/** Which receipts fail and why; a key that was never given is the usual reason, and has a remedy. */
function refusalLines({ device, receipts: { refusals = [] } }: FleetDevice): readonly string[] {
  const lines = refusals.map(
    ({ code, reason, at }) => `${device}: receipt refused ${at}: ${safeText(reason)} [${code}]`,
  )
  if (refusals.some(({ code }) => code === "SIGNER_UNTRUSTED")) lines.push(trustHint(device))
  return lines
}

function trustHint(device: string): string {
  return `  if that is the key \`device provision\` printed: sealwright fleet trust ${device} KEY.pem, then take the receipts again`
}

function ringText({ name, devices }: Ring): string {
  return `${name}: ${devices.join(", ") || "no device"}`
}

function receiptLines(receipts: Imported["receipts"]): string {
  if (receipts.length === 0) return "no receipts"
  return receipts
    .map(({ device, result, reason }) => `${result} ${device ?? "receipt"} ${safeText(reason)}`.trimEnd())
    .join("\n")
}

function scopeOf({ ring, device }: { readonly ring?: string; readonly device?: string }) {
  if (ring !== undefined && device === undefined) return { kind: "ring", ring } as const
  if (device !== undefined && ring === undefined) return { kind: "device", device } as const
  throw new AppError("USAGE", "give exactly one of --ring and --device")
}
