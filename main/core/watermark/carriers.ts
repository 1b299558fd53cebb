/** A plan's tensors with their keys: what every edition of a model is made from. */
import { wipe } from "../bytes/bytes.ts"
import type { Carrier } from "./embed.ts"
import { tensorKey } from "./keys.ts"
import type { OriginalTensor } from "./original.ts"
import { parametersDigest, type PlannedTensor } from "./plan.ts"
import { TensorStreams } from "./streams.ts"

/** Throws RangeError when the plan is for other tensors. The caller closes every carrier's streams. */
export function openCarriers(
  masterKey: Uint8Array,
  tensors: readonly OriginalTensor[],
  planned: readonly PlannedTensor[],
): readonly Carrier[] {
  return tensors.map((tensor, index) => {
    const entry = planned[index]
    if (entry?.hash !== tensor.hash) throw new RangeError(`tensor ${index} is not the one that was planned`)
    const key = tensorKey(masterKey, Buffer.from(tensor.hash, "hex"), parametersDigest(entry.parameters))
    try {
      return { tensor, parameters: entry.parameters, streams: new TensorStreams(key) }
    } finally {
      wipe(key)
    }
  })
}

export function closeCarriers(carriers: readonly Carrier[]): void {
  for (const { streams } of carriers) streams.close()
}
