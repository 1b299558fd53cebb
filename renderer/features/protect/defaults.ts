/** What Protect starts with, so that Enter is an answer. */
import type { Device } from "../../../main/contract/schema/keys.ts"
import { connection } from "../../api/connection.ts"
import { refresh } from "../../api/queries.ts"

/** Made when a workspace has no device yet: the computer in front of the user. */
export const THIS_COMPUTER = "this-computer"

/** The last choice of this window, if it still exists; else a device that can be tried here; else the first. */
export function defaultDevices(devices: readonly Device[]): readonly string[] {
  const kept = (sessionStorage.getItem(KEY) ?? "").split("\n")
  const known = devices.filter(({ name }) => kept.includes(name)).map(({ name }) => name)
  if (known.length > 0) return known
  const first = devices.find(({ holdsKey }) => holdsKey) ?? devices[0]
  return first === undefined ? [THIS_COMPUTER] : [first.name]
}

export function keepDevices(names: readonly string[]): void {
  sessionStorage.setItem(KEY, names.slice(0, 1000).join("\n"))
}

/** The device of the default choice exists only once it is used. */
export async function ensureDevices(names: readonly string[], devices: readonly Device[]): Promise<void> {
  if (!names.includes(THIS_COMPUTER) || devices.some(({ name }) => name === THIS_COMPUTER)) return
  await connection.client.devices.add({ name: THIS_COMPUTER, key: { kind: "software" } })
  await refresh("devices")
}

const KEY = "sealwright-devices"
