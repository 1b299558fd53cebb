import { AppError } from "../../contract/errors.ts"
import type { Device } from "../../contract/schema/keys.ts"
import { registerEnrolment } from "./device-enrolment.ts"
import type { Register } from "../main.ts"
import { table } from "../text.ts"
import { registerDeployment } from "./deployment.ts"

interface AddOptions {
  readonly recipient?: string
  readonly software?: boolean
  readonly key?: boolean
}

export const registerDevice: Register = (program, run) => {
  const device = program.command("device").description("the devices models are protected for")
  device
    .command("add")
    .argument("<name>", "what to call the device")
    .option("--recipient <recipient>", "the device's public key: age1…, age1pq1…, age1tag1… or age1tagpq1…")
    .option("--software", "make a software key for it in this workspace")
    .option("--key", "use the device key of the same name in this workspace")
    .description("make a device known")
    .addHelpText(
      "after",
      "\nExamples:\n  sealwright device add press-07 --recipient age1tag1…\n  sealwright device add bench --software",
    )
    .action(async (name: string, options: AddOptions, command) =>
      run(command, async (context) => {
        const added = await context.engine.devices.add({ name, key: chooseKey(name, options) })
        context.print(added, () => describe(added))
      }),
    )
  registerDeployment(device, run)
  registerEnrolment(device, run)
  device
    .command("list")
    .description("all devices of this workspace")
    .addHelpText("after", "\nExample:\n  sealwright device list")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const found = await context.engine.devices.list()
        context.print(found, () =>
          found.length === 0
            ? "no devices yet: sealwright device add NAME --recipient age1…"
            : table([
                ["NAME", "RECIPIENT", "LEVEL", "KEY"],
                ...found.map((each) => [
                  each.name,
                  each.recipientType,
                  each.assurance,
                  each.holdsKey ? "here" : "on the device",
                ]),
              ]),
        )
      }),
    )
  device
    .command("show")
    .argument("<name>")
    .description("one device")
    .addHelpText("after", "\nExample:\n  sealwright device show press-07")
    .action(async (name: string, _options, command) =>
      run(command, async (context) => {
        const found = await context.engine.devices.show({ name })
        context.print(found, () => describe(found))
      }),
    )
  device
    .command("remove")
    .argument("<name>")
    .description("forget a device, and delete its private key if it is here")
    .addHelpText("after", "\nExample:\n  sealwright device remove press-07")
    .action(async (name: string, _options, command) =>
      run(command, async (context) => {
        const removed = await context.engine.devices.remove({ name })
        context.print(
          removed,
          () => `removed device ${removed.name}${removed.holdsKey ? " and its private key" : ""}`,
        )
      }),
    )
}

function chooseKey(name: string, { recipient, software, key }: AddOptions) {
  const given = [recipient !== undefined, software === true, key === true].filter(Boolean).length
  if (given !== 1) throw new AppError("USAGE", "give exactly one of --recipient, --software and --key")
  if (recipient !== undefined) return { kind: "recipient", recipient } as const
  return software === true ? ({ kind: "software" } as const) : ({ kind: "key", name } as const)
}

function describe(device: Device): string {
  const where = device.holdsKey ? "its private key is in this workspace" : "its private key is on the device"
  return `${device.name}: ${device.recipientType}, ${device.assurance}, ${where}\n${device.recipient}`
}
