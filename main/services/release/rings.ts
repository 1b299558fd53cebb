/** Groups of devices that receive a release together. Not signed: what counts is the director's word to each device. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import type { Ring } from "../../contract/schema/release.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { readJson } from "../../core/policy/release.ts"
import type { Ports } from "../ports.ts"

const recordSchema = z.strictObject({ devices: z.array(z.string()) })

/** Throws DEVICE_NOT_FOUND for a device this workspace does not know. */
export async function setRing(ports: Ports, { name, devices }: Ring): Promise<Ring> {
  const unique = [...new Set(devices)].sort()
  for (const device of unique) await ports.devices.find(device)
  await keepRing(ports, { name, devices: unique })
  return { name, devices: unique }
}

async function keepRing(ports: Ports, { name, devices }: Ring): Promise<void> {
  await ports.documents.write(`rings/${name}.json`, toUtf8(JSON.stringify({ devices })))
}

export async function listRings(ports: Ports): Promise<Ring[]> {
  const names = (await ports.documents.list("rings")).filter((name) => name.endsWith(".json"))
  return Promise.all(names.map(async (name) => findRing(ports, name.slice(0, -".json".length))))
}

/** Throws RING_NOT_FOUND. */
export async function findRing(ports: Ports, name: string): Promise<Ring> {
  const bytes = await ports.documents.read(`rings/${name}.json`)
  if (bytes === null) throw new AppError("RING_NOT_FOUND", `there is no ring ${name}`)
  return { name, devices: readJson(recordSchema, bytes, `the ring ${name}`).devices }
}

/** Takes a device out of every ring; returns the names of those it was in. */
export async function leaveRings(ports: Ports, device: string): Promise<readonly string[]> {
  const left = (await listRings(ports)).filter(({ devices }) => devices.includes(device))
  for (const { name, devices } of left)
    await keepRing(ports, { name, devices: devices.filter((each) => each !== device) })
  return left.map(({ name }) => name)
}
