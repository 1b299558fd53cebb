/** The devices a workspace knows. */
import { AppError } from "../contract/errors.ts"
import type { Assurance } from "../contract/schema/base.ts"
import type { Device } from "../contract/schema/keys.ts"
import type { z } from "zod"
import type { addDeviceSchema } from "../contract/schema/keys.ts"
import { parseRecipient } from "../core/age/recipients.ts"
import type { Ports } from "./ports.ts"

type AddDevice = z.infer<typeof addDeviceSchema>

/** Throws DEVICE_EXISTS, RECIPIENT_INVALID, KEY_NOT_FOUND; a software key made for a device that cannot be added is removed. */
export async function addDevice(ports: Ports, { name, key }: AddDevice): Promise<Device> {
  const existing = (await ports.devices.list()).find((device) => device.name === name)
  if (existing !== undefined) throw new AppError("DEVICE_EXISTS", `${name} exists already in this workspace`)
  // Nobody has shown where the private key of a recipient lives, so nothing better may be claimed.
  if (key.kind === "recipient") return save(ports, name, key.recipient, "software", false)
  if (key.kind === "key") {
    const found = await ports.keys.find(key.name, "device")
    if (found.name !== name) throw new AppError("USAGE", `a device has the name of its key: ${found.name}`)
    return save(ports, name, found.recipient ?? "", found.assurance, true)
  }
  // An age key of the ordinary kind, so that any age tool can open what is made for it.
  const made = await ports.keys.create({
    name,
    purpose: "device",
    algorithm: "X25519",
    place: { provider: "software", passphrase: false },
  })
  try {
    return await save(ports, name, made.recipient ?? "", made.assurance, true)
  } catch (error) {
    await ports.keys.remove(made)
    throw error
  }
}

/** Removes the device and, if this workspace holds it, the device's private key. */
export async function removeDevice(ports: Ports, name: string): Promise<Device> {
  const device = await ports.devices.find(name)
  await ports.devices.remove(name)
  if (device.holdsKey) await ports.keys.remove(await ports.keys.find(name, "device"))
  return device
}

async function save(
  ports: Ports,
  name: string,
  recipientText: string,
  assurance: Assurance,
  holdsKey: boolean,
): Promise<Device> {
  const recipient = parseRecipient(recipientText)
  const device: Device = {
    name,
    recipient: recipient.text,
    recipientType: recipient.type,
    assurance,
    holdsKey,
    addedAt: ports.now().toISOString(),
    enrolment: null,
  }
  await ports.devices.add(device)
  return device
}
