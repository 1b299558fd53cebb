/** What scores do when there is no mark: drawing the law of the tests very many times, cheaply or through the real code. */
import { createCipheriv } from "node:crypto"
import { wipe } from "../../main/core/bytes/bytes.ts"
import { codeCarriers, ownerCarriers, sigmaOf } from "../../main/core/watermark/trace-carriers.ts"
import { DeviceTest, ownerTest, sumCodeword } from "../../main/core/watermark/detect.ts"
import { parametersDigest, type PlannedTensor } from "../../main/core/watermark/plan.ts"
import { tensorKey } from "../../main/core/watermark/keys.ts"
import type { OriginalTensor } from "../../main/core/watermark/original.ts"
import { KeyStream } from "../../main/core/watermark/prf.ts"
import { scoreResiduals } from "../../main/core/watermark/residual.ts"
import { TensorStreams } from "../../main/core/watermark/streams.ts"
import { codeWordKey } from "../../main/core/watermark/trace.ts"
import { countOnes } from "./statistics.ts"

/** z of the owner test for `keys` fresh keys: the sizes of the scores are rounded to 255 levels, the signs are drawn bit by bit. */
export function drawOwnerScores(scores: Float64Array, keys: number, seed: number): Float64Array {
  const most = scores.reduce((largest, q) => Math.max(largest, Math.abs(q)), 0)
  const counts = new Uint32Array(256)
  for (const q of scores) {
    const level = Math.round((Math.abs(q) / most) * 255)
    counts[level] = (counts[level] ?? 0) + 1
  }
  counts[0] = 0
  let squares = 0
  let words = 0
  counts.forEach((count, level) => {
    squares += count * level * level
    words += Math.ceil(count / 32)
  })
  const cipher = createCipheriv("aes-256-ctr", new Uint8Array(32).fill(seed), new Uint8Array(16))
  const zeros = new Uint8Array(words * 4)
  return Float64Array.from({ length: keys }, () => {
    const bits = new Uint32Array(Uint8Array.from(cipher.update(zeros)).buffer)
    let [sum, at] = [0, 0]
    counts.forEach((count, level) => {
      if (count === 0) return
      sum += level * (2 * countOnes(bits, at, count) - count)
      at += Math.ceil(count / 32)
    })
    return sum / Math.sqrt(squares)
  })
}

/** One tensor of an original with what a suspect has in its place, both canonical in stored order. */
export interface TensorPair {
  readonly planned: PlannedTensor
  readonly tensor: OriginalTensor
  readonly original: Float32Array
  readonly suspect: Float32Array
}

/** The owner test of `keys` master keys that have nothing to do with the suspect, through key derivation and streams. */
export function ownerTestsOfStrangers(
  pair: TensorPair,
  keys: number,
): readonly { readonly z: number; readonly log10p: number }[] {
  const { planned, tensor, original, suspect } = pair
  const { parameters } = planned
  const hash = Buffer.from(planned.hash, "hex")
  const digest = parametersDigest(parameters)
  const scores = new Float64Array(tensor.elementCount)
  return Array.from({ length: keys }, (_, index) => {
    const master = new Uint8Array(32)
    new DataView(master.buffer).setUint32(0, index + 1)
    const streams = new TensorStreams(tensorKey(master, hash, digest))
    const { amplitude, signs } = ownerCarriers(tensor, parameters, streams, original)
    // Scores do not depend on the key of a float tensor; they are computed once.
    if (index === 0)
      scoreResiduals(
        { original, suspect, sigma: sigmaOf(tensor), amplitude, known: null, stratum: null },
        1,
        scores,
      )
    streams.close()
    return ownerTest([{ scores, signs }])
  })
}

/** lg p of `count` devices that never got a copy, through the real code. */
export function innocents(
  pairs: readonly TensorPair[],
  masterKey: Uint8Array,
  first: number,
  count: number,
): Float64Array {
  const keyed = pairs.map(({ planned, tensor, original, suspect }) => {
    const { parameters } = planned
    const key = tensorKey(masterKey, Buffer.from(planned.hash, "hex"), parametersDigest(parameters))
    const streams = new TensorStreams(key)
    const { amplitude, known, signs, bias } = codeCarriers(
      tensor,
      parameters,
      streams,
      original,
      "individual",
    )
    const scores = new Float64Array(tensor.elementCount)
    scoreResiduals(
      { original, suspect, sigma: sigmaOf(tensor), amplitude, known, stratum: null },
      0.1,
      scores,
    )
    streams.close()
    return { key, scores, signs, bias }
  })
  const test = new DeviceTest(keyed)
  return Float64Array.from({ length: count }, (_, index) => {
    const copy = { device: first + index, attempt: 0, mode: "individual" as const }
    let sum = 0
    test.tensors.forEach((tensor, t) => {
      const key = codeWordKey(keyed[t]?.key ?? new Uint8Array(32), copy)
      const stream = new KeyStream(key)
      wipe(key)
      sum += sumCodeword(tensor, stream.read(0, tensor.weights.length))
      stream.close()
    })
    return test.judge(sum).log10p
  })
}

/** How many of `log10p` are at or below each level, beside how many may be. */
export function exceedances(
  log10p: Float64Array | readonly number[],
  levels: readonly number[],
): readonly { readonly level: number; readonly seen: number; readonly allowed: number }[] {
  return levels.map((level) => ({
    level,
    seen: Array.from(log10p).filter((value) => value <= Math.log10(level)).length,
    allowed: level * log10p.length,
  }))
}
