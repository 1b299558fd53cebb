/** What had to be undone before a suspect could be compared, in words and by tensor. */
import type { TraceResult } from "../../contract/schema/trace.ts"
import type { Traced } from "../../core/watermark/trace.ts"

export function alignmentOf(traced: Traced): TraceResult["alignment"] {
  const tensors = traced.tensors.map(({ planned, aligned }) => ({
    name: planned.name,
    shape: [...planned.dims],
    suspect: aligned === null ? null : (traced.suspectNames[aligned.suspect] ?? "(computed)"),
    cosine: aligned?.cosine ?? 0,
    movedRows: aligned?.movedRows ?? 0,
    scaledRows: aligned?.scaledRows ?? 0,
    lostRows: aligned?.lostRows ?? 0,
  }))
  return {
    cosine: traced.cosine,
    weights: traced.tensors.reduce((sum, { weights }) => sum + weights, 0),
    compared: traced.tensors.reduce((sum, { compared }) => sum + compared, 0),
    done: describe(tensors),
    unmatched: tensors.filter(({ suspect }) => suspect === null).map(({ name }) => name),
    tensors,
  }
}

function describe(tensors: TraceResult["alignment"]["tensors"]): string[] {
  const matched = tensors.filter(({ suspect }) => suspect !== null)
  const count = (pick: (tensor: (typeof tensors)[number]) => number) =>
    matched.reduce((sum, tensor) => sum + pick(tensor), 0)
  const renamed = matched.filter(({ name, suspect }) => name !== suspect).length
  return [
    [renamed, "tensors matched under another name"],
    [count(({ movedRows }) => movedRows), "channels put back into their place"],
    [count(({ scaledRows }) => scaledRows), "channels scaled back"],
    [count(({ lostRows }) => lostRows), "channels without counterpart"],
  ].flatMap(([number, what]) => (number === 0 ? [] : [`${number} ${what}`]))
}
