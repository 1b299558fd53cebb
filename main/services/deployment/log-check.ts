/** The desk's log of trust acts, as far as its proofs were carried to a device (docs/FORMAT.md 10.8). */
import { AppError } from "../../contract/errors.ts"
import type { Device } from "../../contract/schema/keys.ts"
import { checkPublished, MAX_PUBLISHED_BYTES, publishedNames } from "../../core/log/published.ts"
import type { Judged } from "../../core/policy/deployment.ts"
import type { Checklist } from "../checklist.ts"
import type { Ports } from "../ports.ts"
import { keptSource } from "./state.ts"

/**
 * Whether the desk's log holds that this release was published. A proof can be left out of what is carried, so it is evidence and
 * no condition; one that is there and wrong is a refusal.
 */
export async function checkLog(
  ports: Ports,
  device: Device,
  list: Checklist,
  { image, director }: Judged,
  sha256: string,
): Promise<void> {
  const words = ["log", "10.8", "The desk's log holds this release"] as const
  const source = await keptSource(ports, device, "image")
  const names = publishedNames(sha256)
  const [entry, proof] = [
    await source.read(names.entry, MAX_PUBLISHED_BYTES),
    await source.read(names.proof, MAX_PUBLISHED_BYTES),
  ]
  if (entry === null || proof === null) return list.skip(...words, "no proof was carried here")
  const pems = [...keysOf(image, "timestamp"), ...keysOf(director, "timestamp")]
  try {
    const { index, size, time } = checkPublished({ entry, proof }, sha256, pems)
    await list.check(...words, async () => ({
      value: null,
      reason: `entry ${index} of ${size}, published ${time}`,
    }))
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    if (error.code === "LOG_UNSIGNED")
      return list.skip(...words, "its checkpoint is by a key the trust root does not name any more")
    await list.check(...words, async () => {
      throw error
    })
  }
}

/** Public keys (PEM) of a top-level role. */
function keysOf({ root }: Judged["image"], role: string): readonly string[] {
  const { keys, roles } = root.signed
  return (roles[role]?.keyIDs ?? []).flatMap((id) => keys[id]?.keyVal["public"] ?? [])
}
