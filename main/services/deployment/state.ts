/** What a device remembers: slots, the time that has passed, trusted metadata. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { deploymentStatusSchema, type DeploymentStatus, type Slot } from "../../contract/schema/deployment.ts"
import type { Device } from "../../contract/schema/keys.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { MAX_PUBLISHED_BYTES, publishedNames } from "../../core/log/published.ts"
import { sha256Digest } from "../../core/oci/manifest.ts"
import type { RepositoryView } from "../../core/policy/deployment.ts"
import { createDeviceId } from "../../core/policy/device-id.ts"
import { readJson } from "../../core/policy/release.ts"
import type { MetadataSource } from "../../core/tuf/client.ts"
import type { Ports } from "../ports.ts"

const { active, slots, incoming, clockFloor, result, hardwareId } = deploymentStatusSchema.shape
const stateSchema = z.strictObject({
  version: z.literal(1),
  hardwareId,
  active,
  slots,
  incoming,
  clockFloor,
  result,
  receiptKey: z.string(),
  /** Digests of the two trust manifests of a registry that were taken last. */
  seen: z.strictObject({ image: z.string(), device: z.string() }).nullable().default(null),
})
export type DeviceState = z.infer<typeof stateSchema>

/** Throws DEVICE_NOT_FOUND, DEVICE_NOT_PROVISIONED. */
export async function readState(ports: Ports, device: Device): Promise<DeviceState> {
  const state = await findState(ports, device)
  if (state === null) throw new AppError("DEVICE_NOT_PROVISIONED", `${device.name} has no trust root yet`)
  return state
}

export async function findState(ports: Ports, device: Device): Promise<DeviceState | null> {
  const bytes = await ports.documents.read(stateName(device))
  return bytes === null ? null : readJson(stateSchema, bytes, `the state of ${device.name}`)
}

/** One atomic replacement: switching slots is this and nothing else. */
export async function keepState(ports: Ports, device: Device, state: DeviceState): Promise<void> {
  await ports.documents.write(stateName(device), toUtf8(JSON.stringify(state)))
}

export function folderOf(device: Device): string {
  return `deployments/${createDeviceId(device.recipient)}`
}

function stateName(device: Device): string {
  return `${folderOf(device)}/state.json`
}

/** The time to judge by: the clock, unless the device knows that more time has passed. */
export function effectiveNow(ports: Ports, state: Pick<DeviceState, "clockFloor">): Date {
  const now = ports.now()
  const floor = new Date(state.clockFloor)
  return now < floor ? floor : now
}

/**
 * The new floor after `signedAt`, a time somebody trusted signed, was seen. The device's own clock moves it too, but never past
 * `until`, the end of what was verified: a clock that jumped forward once must not lock the device out of newer metadata.
 */
export function raisedFloor(ports: Ports, floor: string, signedAt: string, until: string): string {
  const own = Math.min(ports.now().getTime(), new Date(until).getTime())
  return new Date(Math.max(new Date(floor).getTime(), new Date(signedAt).getTime(), own)).toISOString()
}

/** Trusted documents of one repository on this device, as the workflow wants them. */
export async function viewOf(
  ports: Ports,
  device: Device,
  repository: "image" | "director",
  source: MetadataSource,
): Promise<RepositoryView> {
  const folder = `${folderOf(device)}/${repository}`
  const trusted = new Map<string, Uint8Array>()
  for (const name of await ports.documents.list(folder)) {
    const bytes = await ports.documents.read(`${folder}/${name}`)
    if (bytes !== null) trusted.set(name.slice(0, -".json".length), bytes)
  }
  return {
    trusted,
    source,
    keep: async (next) => {
      for (const [role, bytes] of next)
        if (trusted.get(role) !== bytes) await ports.documents.write(`${folder}/${role}.json`, bytes)
    },
  }
}

/** The documents a device keeps, as a repository: judging again what it has needs no other file. */
export async function keptSource(
  ports: Ports,
  device: Device,
  repository: "image" | "director",
): Promise<MetadataSource> {
  const folder = `${folderOf(device)}/${repository}`
  return {
    read: async (name) => {
      if (name.startsWith("targets/"))
        return ports.documents.read(releaseName(device, name.slice("targets/".length)))
      if (name.startsWith("log/")) return ports.documents.read(`${folderOf(device)}/${name}`)
      // What is kept is the newest of each role: a next root is not among it.
      return name.endsWith("root.json")
        ? null
        : ports.documents.read(`${folder}/${name.replace(/^\d+\./, "")}`)
    },
  }
}

/** The index of the release a device was told to run. */
export async function keepReleaseIndex(ports: Ports, device: Device, index: Uint8Array): Promise<void> {
  await ports.documents.write(releaseName(device, sha256Digest(index).slice("sha256:".length)), index)
}

/** The proof that the desk's log holds a release, where one was carried; it is judged when somebody asks. */
export async function keepPublished(
  ports: Ports,
  device: Device,
  source: MetadataSource,
  sha256: string,
): Promise<void> {
  const { entry, proof } = publishedNames(sha256)
  for (const name of [entry, proof]) {
    const bytes = await source.read(name, MAX_PUBLISHED_BYTES)
    if (bytes !== null && bytes.length <= MAX_PUBLISHED_BYTES)
      await ports.documents.write(`${folderOf(device)}/${name}`, bytes)
  }
}

function releaseName(device: Device, sha256: string): string {
  return `${folderOf(device)}/releases/${sha256}`
}

export async function statusOf(ports: Ports, device: Device, state: DeviceState): Promise<DeploymentStatus> {
  const deviceId = createDeviceId(device.recipient)
  const floors = await ports.floors.read(device)
  const receipts = await ports.documents.list(`${folderOf(device)}/receipts`)
  const delivered = new Set(await ports.documents.list(`${folderOf(device)}/delivered`))
  return {
    device: device.name,
    deviceId,
    hardwareId: state.hardwareId,
    active: state.active,
    slots: state.slots,
    incoming: state.incoming,
    floors: { ...floors, level: await ports.floors.level(device) },
    clockFloor: state.clockFloor,
    isClockBehind: ports.now() < new Date(state.clockFloor),
    result: state.result,
    receipts: receipts.length,
    receiptsWaiting: receipts.filter((name) => !delivered.has(name)).length,
  }
}

export function activeSlot(state: DeviceState): Slot | null {
  return state.active === null ? null : state.slots[state.active]
}

export function otherOf(slot: "a" | "b" | null): "a" | "b" {
  return slot === "a" ? "b" : "a"
}
