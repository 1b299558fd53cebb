/** Sums over code words at full speed: the addon where it is built, plain JavaScript elsewhere; the sums are the same. */
import { nativeTrace, type NativeTrace } from "../../../native/lib/trace.ts"
import { concat, wipe } from "../../core/bytes/bytes.ts"
import { sumInJavaScript } from "../../core/watermark/code-words.ts"
import { codeWordContext } from "../../core/watermark/keys.ts"
import type { IssuedCopy, SumCodeWords } from "../../core/watermark/trace.ts"
import type { TraceEngine } from "../../services/ports/trace.ts"

/** Weights a batch goes over, about 20 ms of work: long enough to be cheap to start, short enough to be cancelled. */
const BATCH_WEIGHTS = 2 ** 26
/** Batches under way at once: one waits while each of libuv's threads works. */
const PARALLEL = 5

export const traceEngine: TraceEngine = {
  sums: (signal, progress) => {
    const native = nativeTrace()
    return native === null ? sumInJavaScript(signal, progress) : sumNatively(native, signal, progress)
  },
}

function sumNatively(
  native: NativeTrace,
  signal: AbortSignal,
  progress: (copies: number) => void,
): SumCodeWords {
  return async (tensors, copies) => {
    const out = new Float64Array(copies.length)
    const keys = concat(...tensors.map(({ key }) => key))
    const weights = tensors.map((tensor) => tensor.weights)
    const bias = tensors.map((tensor) => tensor.bias)
    const size = Math.max(
      1,
      weights.reduce((sum, { length }) => sum + length, 0),
    )
    const step = Math.max(1, Math.floor(BATCH_WEIGHTS / size))
    let [next, done] = [0, 0]
    const work = async (): Promise<void> => {
      while (next < copies.length) {
        signal.throwIfAborted()
        const first = next
        next += step
        const batch = copies.slice(first, first + step)
        out.set(await native.sumCodeWords(keys, weights, bias, contextsOf(batch)), first)
        done += batch.length
        progress(done)
      }
    }
    try {
      // All of them end before the keys are wiped, also when one fails.
      const ends = await Promise.allSettled(Array.from({ length: PARALLEL }, work))
      for (const end of ends) if (end.status === "rejected") throw end.reason
      return out
    } finally {
      wipe(keys)
    }
  }
}

function contextsOf(copies: readonly IssuedCopy[]): Uint8Array {
  return concat(...copies.map(({ device, attempt }) => codeWordContext(device, attempt)))
}
