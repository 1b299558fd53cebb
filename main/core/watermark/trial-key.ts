import { createHash } from "node:crypto"

/**
 * The master key of trial number `seed`, known to everybody: strengths are found with marks that have nothing to do with the
 * owner's key, so that nobody can say they were chosen to fit it.
 */
export function createTrialKey(seed: number): Uint8Array {
  return createHash("sha256").update(`sealwright/wm/v1/public-trial/${seed}`).digest()
}
