import type { Assurance } from "../../contract/schema/base.ts"
import type { Device } from "../../contract/schema/keys.ts"
import type { Floors } from "../../core/policy/deployment.ts"

/**
 * Counters a device keeps where an old copy of its disk cannot take them back to: the TPM's NV counters where there are any, a
 * sealed file otherwise, which is only as good as the disk.
 */
export interface RollbackFloors {
  /**
   * Settles, once for a device, what holds its counters, and starts them at zero; counters a TPM has for this device already
   * go on where they are. Throws what the TPM refuses: a TPM that is there and does not work is no reason for a file.
   */
  prepare(device: Device): Promise<void>
  /** What holds the counters: `hardware` is a TPM, `software` a file. */
  level(device: Device): Promise<Assurance>
  /** Throws WORKSPACE_UNUSABLE when they cannot be read or are not those of this device: no floor is no permission. */
  read(device: Device): Promise<Floors>
  /** Never lowers: a smaller value changes nothing. Throws FLOOR_TOO_FAR for a step no honest release makes. */
  raise(device: Device, floors: Floors): Promise<void>
}
