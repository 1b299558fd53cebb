import { deviceSchema, type Device } from "../../contract/schema/keys.ts"
import type { DeviceStore } from "../../services/ports.ts"
import { Records } from "./records.ts"

/** The devices this workspace knows, one file each in `folder`. */
export function deviceFiles(folder: string): DeviceStore {
  const records = new Records<Device>(folder, deviceSchema, {
    missing: "DEVICE_NOT_FOUND",
    exists: "DEVICE_EXISTS",
  })
  return {
    add: async (device) => records.add(device.name, device),
    list: async () => records.list(),
    find: async (name) => records.find(name),
    remove: async (name) => records.remove(name),
  }
}
