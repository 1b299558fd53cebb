import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { parseJson } from "../../core/bytes/json.ts"
import type { Documents } from "../../services/ports/documents.ts"
import type { RollbackFloors } from "../../services/ports/floors.ts"

const floorsSchema = z.strictObject({
  deployment: z.int().nonnegative(),
  release: z.int().nonnegative(),
})

/** Floors in a file of the workspace: they stop replays, but not somebody who restores the whole disk. */
export function fileFloors(documents: Documents): RollbackFloors {
  const nameOf = (deviceId: string) => `floors/${deviceId}.json`
  const read: RollbackFloors["read"] = async (deviceId) => {
    const bytes = await documents.read(nameOf(deviceId))
    if (bytes === null) return { deployment: 0, release: 0 }
    const parsed = floorsSchema.safeParse(parseJson(bytes, "the rollback floor"))
    if (parsed.success) return parsed.data
    throw new AppError("WORKSPACE_UNUSABLE", "the rollback floor of the device is damaged")
  }
  return {
    level: async () => "software",
    read,
    raise: async (deviceId, floors) => {
      const now = await read(deviceId)
      const next = {
        deployment: Math.max(now.deployment, floors.deployment),
        release: Math.max(now.release, floors.release),
      }
      await documents.write(nameOf(deviceId), toUtf8(JSON.stringify(next)))
    },
  }
}
