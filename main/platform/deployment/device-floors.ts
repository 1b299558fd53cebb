/** Floors of the devices of a workspace: in the TPM that a device has, in a sealed file for one that has none. */
import { AppError } from "../../contract/errors.ts"
import type { Device } from "../../contract/schema/keys.ts"
import { createDeviceId } from "../../core/policy/device-id.ts"
import type { RollbackFloors } from "../../services/ports/floors.ts"
import type { FloorRecord, FloorRecords } from "./floor-record.ts"
import type { TpmFloors } from "./tpm-floors.ts"

export interface DeviceTpm {
  /** In tpm2-tss syntax; null is the one in sight. */
  readonly tcti: string | null
  /** Of a device whose key lives in it: throws TPM_KEY_FOREIGN when it does not any more. */
  readonly checkKey: (() => Promise<void>) | null
}

export function deviceFloors(
  records: FloorRecords,
  tpm: TpmFloors,
  tpmOf: (device: Device) => Promise<DeviceTpm | null>,
): RollbackFloors {
  const find = async (device: Device): Promise<FloorRecord> => {
    const record = await records.find(createDeviceId(device.recipient))
    // Deleting the record must not be a way back to zero.
    if (record === null) throw new AppError("WORKSPACE_UNUSABLE", `${device.name} has no rollback floor`)
    return record
  }
  /** A TPM that was cleared has lost the key with the counters, and that is what there is to say. */
  const explained = async <T>(device: Device, action: Promise<T>): Promise<T> => {
    try {
      return await action
    } catch (error) {
      if (error instanceof AppError && error.code === "FLOOR_LOST") await (await tpmOf(device))?.checkKey?.()
      throw error
    }
  }
  return {
    prepare: async (device) => {
      const deviceId = createDeviceId(device.recipient)
      if ((await records.find(deviceId)) !== null) return
      await records.write(deviceId, await newRecord(tpm, await tpmOf(device), deviceId))
    },
    level: async (device) => ((await find(device)).kept === "tpm2" ? "hardware" : "software"),
    read: async (device) => {
      const record = await find(device)
      if (record.kept === "file") return { deployment: record.deployment, release: record.release }
      const anchor = BigInt(record.anchor)
      return explained(device, tpm.read(record.tcti, createDeviceId(device.recipient), anchor))
    },
    raise: async (device, floors) => {
      const deviceId = createDeviceId(device.recipient)
      const record = await find(device)
      if (record.kept === "tpm2")
        return explained(device, tpm.raise(record.tcti, deviceId, BigInt(record.anchor), floors))
      const deployment = Math.max(record.deployment, floors.deployment)
      const release = Math.max(record.release, floors.release)
      if (deployment !== record.deployment || release !== record.release)
        await records.write(deviceId, { kept: "file", deployment, release })
    },
  }
}

async function newRecord(tpm: TpmFloors, place: DeviceTpm | null, deviceId: string): Promise<FloorRecord> {
  if (place === null) return IN_FILE
  const { tcti, checkKey } = place
  try {
    return { kept: "tpm2", tcti, anchor: String(await tpm.prepare(tcti, deviceId)) }
  } catch (error) {
    const hasNone = error instanceof AppError && NO_TPM.has(error.code)
    if (!hasNone || checkKey !== null) throw error
    return IN_FILE
  }
}

const IN_FILE = { kept: "file", deployment: 0, release: 0 } as const

/** No TPM, or no software to talk to one. */
const NO_TPM: ReadonlySet<string> = new Set(["TPM_ABSENT", "TPM_UNAVAILABLE"])
