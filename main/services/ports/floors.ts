import type { Assurance } from "../../contract/schema/base.ts"
import type { Floors } from "../../core/policy/deployment.ts"

/**
 * Counters a device keeps where an old copy of its disk cannot take them back to: the TPM's NV counters where there are any, a
 * file otherwise, which is only as good as the disk.
 */
export interface RollbackFloors {
  /** What holds the counters: `software` is a file. */
  level(): Promise<Assurance>
  /** Zero for a device that never committed anything. Throws WORKSPACE_UNUSABLE when they cannot be read: no floor is no permission. */
  read(deviceId: string): Promise<Floors>
  /** Never lowers: a smaller value changes nothing. */
  raise(deviceId: string, floors: Floors): Promise<void>
}
