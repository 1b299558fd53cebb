/**
 * Resynchronisation: the suspect's weights at the places of the original's, however its layers and channels were renamed,
 * reordered, scaled or padded (WATERMARK 4). It sees both models and never a key.
 */
import type { Layer, Network } from "../network/network.ts"
import type { Work } from "../work.ts"
import { columnsAsRows, gatherInputs, type MappedGroup } from "./channels.ts"
import { channelsOf, gatherRows, matchNetworks, sweepGroups, type Matching } from "./match.ts"
import { combineScales, fitScale, rowScales, type RowScale } from "./scale.ts"

/** A layer of the original with what the suspect has in its place. */
export interface AlignedLayer {
  readonly layer: Layer
  /** Place of the counterpart among the suspect's layers, -1 for none. */
  readonly suspect: number
  /** rows x inputs, in the original's order and scale; NaN where there is no counterpart. */
  readonly weights: Float32Array
  /** Cosine of the whole layer with the original: 1 for an unchanged copy, about 0 for a stranger; 0 without counterpart. */
  readonly cosine: number
  /** Rows that are not where they were, and rows that were multiplied with something. */
  readonly movedRows: number
  readonly scaledRows: number
  /** Rows without counterpart. */
  readonly lostRows: number
}

const SWEEPS = 2

/** Aligns a suspect to the original. The suspect's arrays may be changed. */
export function* resync(original: Network, suspect: Network): Work<readonly AlignedLayer[]> {
  const matching = yield* matchNetworks(original, suspect)
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    yield* refitScales(original, suspect, matching)
    if ((yield* sweepGroups(original, suspect, matching)) === 0) break
  }
  yield* refitScales(original, suspect, matching)
  return original.layers.map((layer, index) => toAligned(original, suspect, matching, layer, index))
}

/** Fits the factor of every channel anew, front to back, from all layers that make it (or, without any, that read it). */
function* refitScales(original: Network, suspect: Network, matching: Matching): Work<void> {
  const seen = new Set<number>()
  for (const layer of original.layers) {
    yield
    for (const index of [layer.input, layer.output]) {
      if (seen.has(index)) continue
      seen.add(index)
      const known = matching.groups.get(index)
      const group = original.groups[index]
      if (known === undefined || group === undefined || group.isInput) continue
      known.scale.fill(1)
      const made = group.producers.flatMap((i) => producedScales(original, suspect, matching, i, known))
      const fits =
        made.length > 0
          ? made
          : group.consumers.flatMap((i) => readScales(original, suspect, matching, i, known))
      for (let channel = 0; channel < group.channels; channel += 1) {
        const source = known.map[channel] ?? -1
        if (source >= 0) known.scale[source] = combineScales(fits.map((rows) => rows[channel] ?? NONE))
      }
    }
  }
}

const NONE: RowScale = { scale: 1, fit: Number.NaN, error: Number.NaN }

function producedScales(
  original: Network,
  suspect: Network,
  matching: Matching,
  index: number,
  output: MappedGroup,
): readonly (readonly RowScale[])[] {
  const [layer, twin] = pairOf(original, suspect, matching, index)
  const input = layer === null ? undefined : matching.groups.get(layer.input)
  if (layer === null || twin === null || input === undefined || twin.output !== output.suspect) return []
  return [rowScales(layer, gatherInputs(layer, twin, channelsOf(original, layer.input), input), output.map)]
}

/** Channels nobody makes as rows (values of an attention head, say): their factor is what the columns were divided by. */
function readScales(
  original: Network,
  suspect: Network,
  matching: Matching,
  index: number,
  input: MappedGroup,
): readonly (readonly RowScale[])[] {
  const [layer, twin] = pairOf(original, suspect, matching, index)
  const output = layer === null ? undefined : matching.groups.get(layer.output)
  if (layer === null || twin === null || output === undefined || twin.input !== input.suspect) return []
  const [channels, available] = [channelsOf(original, layer.input), channelsOf(suspect, twin.input)]
  const own = columnsAsRows(layer.weights, layer.rows, channels)
  const others = columnsAsRows(gatherRows(layer, twin, output), layer.rows, available)
  const size = own.length / channels
  return [
    Array.from({ length: channels }, (_, channel) => {
      const source = input.map[channel] ?? -1
      if (source < 0) return NONE
      const { fit, error } = fitScale(
        own.subarray(channel * size, (channel + 1) * size),
        others.subarray(source * size, (source + 1) * size),
      )
      return { scale: 1, fit: 1 / fit, error: error / (fit * fit) }
    }),
  ]
}

function pairOf(
  original: Network,
  suspect: Network,
  matching: Matching,
  index: number,
): readonly [Layer | null, Layer | null] {
  return [original.layers[index] ?? null, suspect.layers[matching.layers[index] ?? -1] ?? null]
}

function toAligned(
  original: Network,
  suspect: Network,
  matching: Matching,
  layer: Layer,
  index: number,
): AlignedLayer {
  const twin = suspect.layers[matching.layers[index] ?? -1]
  const input = matching.groups.get(layer.input)
  const output = matching.groups.get(layer.output)
  const weights = new Float32Array(layer.weights.length).fill(Number.NaN)
  if (twin === undefined || input === undefined || output === undefined) {
    return { layer, suspect: -1, weights, cosine: 0, movedRows: 0, scaledRows: 0, lostRows: layer.rows }
  }
  const gathered = gatherInputs(layer, twin, channelsOf(original, layer.input), input)
  let [movedRows, scaledRows, lostRows] = [0, 0, 0]
  output.map.forEach((source, row) => {
    if (source < 0) {
      lostRows += 1
      return
    }
    const scale = output.scale[source] ?? 1
    if (source !== row) movedRows += 1
    if (scale !== 1) scaledRows += 1
    for (let i = 0; i < layer.inputs; i += 1)
      weights[row * layer.inputs + i] = (gathered[source * layer.inputs + i] ?? Number.NaN) / scale
  })
  const cosine = cosineOf(layer.weights, weights)
  return { layer, suspect: matching.layers[index] ?? -1, weights, cosine, movedRows, scaledRows, lostRows }
}

/** Cosine over what can be compared. */
function cosineOf(own: Float32Array, other: Float32Array): number {
  let [both, ownSquares, otherSquares] = [0, 0, 0]
  for (let i = 0; i < own.length; i += 1) {
    const [a, b] = [own[i] ?? 0, other[i] ?? Number.NaN]
    if (!Number.isFinite(a) || !Number.isFinite(b)) continue
    both += a * b
    ownSquares += a * a
    otherSquares += b * b
  }
  return ownSquares > 0 && otherSquares > 0 ? both / Math.sqrt(ownSquares * otherSquares) : 0
}
