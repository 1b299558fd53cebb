/** Sums over code words in plain JavaScript; native/src/trace.cc does the same, sum for sum, in less time. */
import { wipe } from "../bytes/bytes.ts"
import { sumCodeword } from "./detect.ts"
import { KeyStream } from "./prf.ts"
import { codeWordKey, type SumCodeWords } from "./trace.ts"

/** Work between two looks at the signal, in weights. */
const STRETCH = 2 ** 24

/** `progress` hears how many copies are done; an aborted `signal` ends the work with an AbortError. */
export function sumInJavaScript(signal?: AbortSignal, progress?: (copies: number) => void): SumCodeWords {
  return async (tensors, copies) => {
    const out = new Float64Array(copies.length)
    let since = 0
    for (const [index, copy] of copies.entries()) {
      let total = 0
      for (const tensor of tensors) {
        const key = codeWordKey(tensor.key, copy)
        const stream = new KeyStream(key)
        wipe(key)
        total += sumCodeword(tensor, stream.read(0, tensor.weights.length))
        stream.close()
        since += tensor.weights.length
      }
      out[index] = total
      if (since < STRETCH) continue
      since = 0
      progress?.(index + 1)
      // Lets others in, so that a cancel can arrive.
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
    }
    return out
  }
}
