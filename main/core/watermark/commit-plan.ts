import { toHex, wipe } from "../bytes/bytes.ts"
import { commitment, commitmentLeaf, tensorKey } from "./keys.ts"
import { MAX_DEVICES, MAX_TRIES, parametersDigest, planDigest, type MarkPlan } from "./plan.ts"

/** C of a plan, hex: what is published before its first copy leaves. `nonces`: 16 bytes a tensor, hex, in the plan's order. */
export function createCommitment(masterKey: Uint8Array, plan: MarkPlan, nonces: readonly string[]): string {
  const leaves = plan.tensors.map(({ hash, parameters }, index) => {
    const tensorHash = Buffer.from(hash, "hex")
    const key = tensorKey(masterKey, tensorHash, parametersDigest(parameters))
    try {
      return commitmentLeaf({ tensorHash, tensorKey: key, nonce: Buffer.from(nonces[index] ?? "", "hex") })
    } finally {
      wipe(key)
    }
  })
  return toHex(
    commitment(leaves, Buffer.from(plan.modelHash, "hex"), planDigest(plan), MAX_DEVICES, MAX_TRIES),
  )
}
