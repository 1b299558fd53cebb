/** The mark, embedded a second time from its description in main/core/watermark/plan.ts: what the product's own embedding is checked against. */
import { sourceOf } from "../../main/core/bytes/source.ts"
import { readModelIndex } from "../../main/core/onnx/model-index.ts"
import { tensorKey } from "../../main/core/watermark/keys.ts"
import {
  measureOriginal,
  readWholeCanonical,
  rowIndex,
  type OriginalTensor,
} from "../../main/core/watermark/original.ts"
import {
  parametersDigest,
  strengthOf,
  type MarkParameters,
  type MarkPlan,
} from "../../main/core/watermark/plan.ts"
import { CODE, isSteppable, stepThresholds, TensorStreams } from "../../main/core/watermark/streams.ts"
import { T8 } from "../../main/core/watermark/tardos.ts"
import type { IssuedCopy, ReadableModel } from "../../main/core/watermark/trace.ts"
import { INT8, putTogether, takeApart, tensorNamed, UINT8 } from "./attacks/onnx-editor.ts"

/** A model in memory, with its graph. */
export async function readable(bytes: Uint8Array): Promise<ReadableModel> {
  const source = sourceOf(bytes)
  return { graph: await readModelIndex(source, { nodes: true }), files: () => source }
}

/** A plan that marks every tensor that can be marked with the same strength, in units of σ. */
export async function evenPlan(model: ReadableModel, strength: number, subset = 0.1): Promise<MarkPlan> {
  const { tensors } = await measureOriginal(model.graph, model.files)
  const units = Math.round(strength * 2 ** 20)
  return {
    version: 1,
    modelHash: "00".repeat(32),
    tensors: tensors.map((tensor) => ({
      hash: tensor.hash,
      name: tensor.places[0]?.tensor.name ?? "",
      path: tensor.places[0]?.tensor.path ?? "",
      dims: [...tensor.dims],
      dataType: tensor.dataType,
      parameters: {
        form: tensor.form,
        rowAxis: tensor.rowAxis,
        strength: units,
        codeStrength: Math.round(units / Math.sqrt(subset)),
        subset: Math.round(subset * 65_536),
        decoys: 0,
      },
    })),
  }
}

/** The copy of a device: the bytes of the model with both marks. */
export async function embedCopy(
  bytes: Uint8Array,
  plan: MarkPlan,
  masterKey: Uint8Array,
  copy: IssuedCopy,
): Promise<Uint8Array> {
  const model = await readable(bytes)
  const edited = takeApart(bytes)
  const { tensors } = await measureOriginal(model.graph, model.files)
  for (const { hash, parameters } of plan.tensors) {
    const tensor = tensors.find((other) => other.hash === hash)
    if (tensor === undefined) throw new Error("a plan for another model")
    const key = tensorKey(masterKey, Buffer.from(hash, "hex"), parametersDigest(parameters))
    const streams = new TensorStreams(key)
    const moves = movesOf(tensor, parameters, streams, copy, await readWholeCanonical(tensor, model.files))
    for (const { tensor: place } of tensor.places) {
      const target = tensorNamed(edited, place.name)
      if (target === null) throw new Error(`no initializer ${place.name}`)
      const steps =
        target.type === INT8
          ? new Int8Array(target.raw.buffer)
          : target.type === UINT8
            ? target.raw
            : target.values
      moves.forEach((move, i) => {
        if (steps !== null && move !== 0) steps[i] = (steps[i] ?? 0) + move
      })
    }
    streams.close()
  }
  return putTogether(edited)
}

/** What is added to each stored value. */
function movesOf(
  tensor: OriginalTensor,
  parameters: MarkParameters,
  streams: TensorStreams,
  copy: IssuedCopy,
  theta: Float32Array,
): Float64Array {
  const n = tensor.elementCount
  const rowOf = rowIndex(tensor)
  const owner = streams.ownerSigns(0, n)
  const code = streams.codeSigns(0, n)
  const bias = streams.biasBytes(0, n)
  const word = streams.wordBytes(copy, 0, n)
  const subset = streams.subset(0, n, parameters)
  const picks = parameters.form === "quantised" ? streams.picks(0, n) : null
  const isFleet = copy.mode === "fleet"
  return Float64Array.from({ length: n }, (_, i) => {
    const row = rowOf(i)
    const [sigma, factor] = [tensor.sigmas[row] ?? 0, tensor.factors[row] ?? 1]
    if (theta[i] === 0 || sigma === 0) return 0
    const s0 = owner[i] === 1 ? 1 : -1
    const s = (code[i] === 1 ? 1 : -1) * ((word[i] ?? 0) < (T8[bias[i] ?? 0] ?? 0) ? 1 : -1)
    const carriesCode = !isFleet || subset[i] === CODE
    if (picks === null) {
      const strength = strengthOf(isFleet ? parameters.codeStrength : parameters.strength)
      const mark = strengthOf(parameters.strength) * s0 + (carriesCode ? strength * s : 0)
      return (sigma * mark) / factor
    }
    const zeroPoint = tensor.zeroPoints[row] ?? 0
    const stored = Math.round((theta[i] ?? 0) / factor) + zeroPoint
    if (!isSteppable(stored, zeroPoint, tensor.dataType === "UINT8" ? "UINT8" : "INT8")) return 0
    const limits = stepThresholds(parameters, copy.mode, sigma / Math.abs(factor))
    const pick = picks[i] ?? 0
    if (pick < limits.owner) return s0
    return pick < limits.owner + limits.code && carriesCode ? s : 0
  })
}
