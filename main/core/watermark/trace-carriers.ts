/** What the keys put where: the carriers of one tensor as detection needs them, by position in stored order. */
import { rowIndex, type OriginalTensor } from "./original.ts"
import { strengthOf, type MarkParameters } from "./plan.ts"
import { CODE, isSteppable, stepThresholds, type TensorStreams } from "./streams.ts"
import { T8 } from "./tardos.ts"

export type MarkMode = "individual" | "fleet"

/** One mark in one tensor; arrays have one entry a weight. */
export interface Carriers {
  /** How far the mark moves the weight, in units of its row's σ; 0 where it does not. */
  readonly amplitude: Float32Array
  /** -1 or 1. */
  readonly signs: Int8Array
}

export interface CodeCarriers extends Carriers {
  /** Chance, in 256ths, that a device's bit is 1. */
  readonly bias: Uint8Array
  /** The owner's mark where it was added on top, in units of σ; `null` where both marks never meet. */
  readonly known: Float32Array | null
}

/** σ of its row for every weight. */
export function sigmaOf(tensor: OriginalTensor): Float32Array {
  const rowOf = rowIndex(tensor)
  const out = new Float32Array(tensor.elementCount)
  for (let i = 0; i < out.length; i += 1) out[i] = tensor.sigmas[rowOf(i)] ?? 0
  return out
}

/** The owner's mark. `original`: canonical values in stored order. */
export function ownerCarriers(
  tensor: OriginalTensor,
  parameters: MarkParameters,
  streams: TensorStreams,
  original: Float32Array,
): Carriers {
  const count = tensor.elementCount
  return {
    amplitude: amplitudes(tensor, parameters, streams, original, "individual", "owner"),
    signs: toSigns(streams.ownerSigns(0, count)),
  }
}

/** A device's mark in copies of the given mode, all but the code word. */
export function codeCarriers(
  tensor: OriginalTensor,
  parameters: MarkParameters,
  streams: TensorStreams,
  original: Float32Array,
  mode: MarkMode,
): CodeCarriers {
  const count = tensor.elementCount
  const amplitude = amplitudes(tensor, parameters, streams, original, mode, "code")
  return {
    amplitude,
    signs: toSigns(streams.codeSigns(0, count)),
    bias: streams.biasBytes(0, count).map((byte) => T8[byte] ?? 0),
    known: parameters.form === "quantised" ? null : knownOwner(parameters, streams, count),
  }
}

/** 1 for weights whose place a fleet's payload fills with noise. */
export function fleetStratum(parameters: MarkParameters, streams: TensorStreams, count: number): Uint8Array {
  return streams.subset(0, count, parameters).map((kind) => (kind === 0 ? 0 : 1))
}

function knownOwner(parameters: MarkParameters, streams: TensorStreams, count: number): Float32Array {
  const strength = strengthOf(parameters.strength)
  const bits = streams.ownerSigns(0, count)
  const out = new Float32Array(count)
  for (let i = 0; i < count; i += 1) out[i] = bits[i] === 1 ? strength : -strength
  return out
}

function amplitudes(
  tensor: OriginalTensor,
  parameters: MarkParameters,
  streams: TensorStreams,
  original: Float32Array,
  mode: MarkMode,
  part: "owner" | "code",
): Float32Array {
  const count = tensor.elementCount
  const inSubset = mode === "fleet" && part === "code" ? streams.subset(0, count, parameters) : null
  const isCarrier = (i: number) => original[i] !== 0 && (inSubset === null || inSubset[i] === CODE)
  const rowOf = rowIndex(tensor)
  const out = new Float32Array(count)
  if (parameters.form === "float") {
    const units = part === "code" && mode === "fleet" ? parameters.codeStrength : parameters.strength
    const strength = strengthOf(units)
    for (let i = 0; i < count; i += 1)
      if (isCarrier(i) && (tensor.sigmas[rowOf(i)] ?? 0) > 0) out[i] = strength
    return out
  }
  const type = tensor.dataType === "UINT8" ? "UINT8" : "INT8"
  const picks = streams.picks(0, count)
  const thresholds = Array.from(tensor.sigmas, (sigma, row) =>
    stepThresholds(parameters, mode, sigma / Math.abs(tensor.factors[row] ?? 1)),
  )
  for (let i = 0; i < count; i += 1) {
    const row = rowOf(i)
    const [sigma, step] = [tensor.sigmas[row] ?? 0, tensor.factors[row] ?? 1]
    const zeroPoint = tensor.zeroPoints[row] ?? 0
    if (!(sigma > 0) || !isCarrier(i)) continue
    if (!isSteppable(Math.round((original[i] ?? 0) / step) + zeroPoint, zeroPoint, type)) continue
    const { owner, code } = thresholds[row] ?? { owner: 0, code: 0 }
    const pick = picks[i] ?? 0
    const isHit = part === "owner" ? pick < owner : pick >= owner && pick < owner + code
    if (isHit) out[i] = Math.abs(step) / sigma
  }
  return out
}

function toSigns(bits: Uint8Array): Int8Array {
  const signs = new Int8Array(bits.length)
  for (let i = 0; i < bits.length; i += 1) signs[i] = 2 * (bits[i] ?? 0) - 1
  return signs
}
