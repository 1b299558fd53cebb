/**
 * Which layer of the suspect is which of the original, and which channel is which: by content and connections alone, never
 * by name or order of the file, and never by the key, so trying many ways costs nothing in false accusations (WATERMARK 4).
 */
import type { Layer, Network } from "../network/network.ts"
import {
  addProducts,
  bestMap,
  columnsAsRows,
  gainOf,
  gatherInputs,
  identityMap,
  inputsPerChannel,
  unitRows,
  type ChannelMap,
  type MappedGroup,
} from "./channels.ts"
import type { Work } from "../work.ts"
import { mergeSplitChannels } from "./neurons.ts"
import { rowScales } from "./scale.ts"

export interface Matching {
  /** By layer of the original, the suspect's layer or -1. */
  readonly layers: Int32Array
  /** Groups of the original whose channels are known in the suspect. */
  readonly groups: Map<number, MappedGroup>
}

/** Mean cosine below which two layers are not taken for the same. Unrelated ones reach 0.13, short first kernels more. */
const LEAST_GAIN = 0.15
/** A gain from which on channels are certainly where they were and layers the same, so that no other order or layer is tried. */
const IN_PLACE = 0.8

/** Front to back: what reads known channels is found by its rows, which makes the channels it produces known. */
export function* matchNetworks(original: Network, suspect: Network): Work<Matching> {
  const matching: Matching = {
    layers: new Int32Array(original.layers.length).fill(-1),
    groups: new Map(),
  }
  const isTaken = new Uint8Array(suspect.layers.length)
  mapInputs(original, suspect, matching)
  // Layers whose surroundings are unknown wait: a later one may make them known.
  for (const strict of [true, false]) {
    for (const [index, layer] of original.layers.entries()) {
      if ((matching.layers[index] ?? -1) >= 0) continue
      const found = yield* findLayer(original, suspect, layer, matching, isTaken, strict)
      if (found === null) continue
      matching.layers[index] = found.suspect
      isTaken[found.suspect] = 1
      const twin = suspect.layers[found.suspect]
      if (twin === undefined) continue
      setGroup(matching, suspect, layer.input, twin.input, found.columns)
      setGroup(matching, suspect, layer.output, twin.output, found.rows)
      noteScales(original, suspect, index, matching)
    }
  }
  return matching
}

/** Channels of the model's inputs are in place: exchanging them would change what the model takes. */
function mapInputs(original: Network, suspect: Network, matching: Matching): void {
  const inputs = suspect.groups.flatMap((group, index) => (group.isInput ? [index] : []))
  let next = 0
  original.groups.forEach((group, index) => {
    if (!group.isInput) return
    const twin = inputs[next++]
    const channels = twin === undefined ? 0 : (suspect.groups[twin]?.channels ?? 0)
    if (twin !== undefined && channels === group.channels)
      setGroup(matching, suspect, index, twin, identityMap(channels, channels))
  })
}

interface Found {
  readonly suspect: number
  readonly gain: number
  readonly rows: ChannelMap
  readonly columns: ChannelMap
}

function* findLayer(
  original: Network,
  suspect: Network,
  layer: Layer,
  matching: Matching,
  isTaken: Uint8Array,
  strict: boolean,
): Work<Found | null> {
  let best: Found | null = null
  for (const index of likeliestFirst(suspect.layers.length, isTaken)) {
    const candidate = suspect.layers[index]
    if (candidate === undefined) continue
    yield
    const compared = yield* compare(original, suspect, layer, candidate, matching, strict)
    if (compared === null || compared.gain <= (best?.gain ?? LEAST_GAIN)) continue
    best = { ...compared, suspect: index }
    if (best.gain >= IN_PLACE) break
  }
  return best
}

/** The layers that are left, from the one behind the last that is taken: mostly the order is that of the original. */
function likeliestFirst(count: number, isTaken: Uint8Array): readonly number[] {
  const first = isTaken.lastIndexOf(1) + 1
  return Array.from({ length: count }, (_, i) => (first + i) % count).filter((index) => isTaken[index] !== 1)
}

/** How alike two layers are under the best choice of what is not known yet; `null` when they cannot be the same. */
function* compare(
  original: Network,
  suspect: Network,
  layer: Layer,
  candidate: Layer,
  matching: Matching,
  strict: boolean,
): Work<Omit<Found, "suspect"> | null> {
  const [channels, available] = [channelsOf(original, layer.input), channelsOf(suspect, candidate.input)]
  const size = inputsPerChannel(layer, channels)
  if (size !== inputsPerChannel(candidate, available)) return null
  const input = matching.groups.get(layer.input)
  const output = matching.groups.get(layer.output)
  if (input !== undefined && input.suspect !== candidate.input) return null
  if (output !== undefined && output.suspect !== candidate.output) return null
  if (input === undefined && output === undefined && strict) return null
  if (output === undefined && candidate.rows > layer.rows) mergeSplitChannels(suspect, candidate.output)

  if (input === undefined && output !== undefined) {
    const columns = yield* matchColumns(original, suspect, layer, candidate, output)
    return { gain: columns.gain, rows: output.map, columns: columns.map }
  }
  // Nothing known about the inputs: as they stand is the first guess, and the sweeps improve it.
  const known = input ?? guessInputs(candidate, channels, available)
  const gathered = unitRows(gatherInputs(layer, candidate, channels, known), candidate.rows)
  const own = unitRows(layer.weights, layer.rows)
  if (output !== undefined) {
    const gain = meanCosine(own, gathered, output.map, layer.inputs)
    return { gain, rows: output.map, columns: known.map }
  }
  const rows = yield* matchRows(own, layer.rows, gathered, candidate.rows)
  return { gain: rows.gain, rows: rows.map, columns: known.map }
}

function guessInputs(candidate: Layer, channels: number, available: number): MappedGroup {
  return {
    suspect: candidate.input,
    map: identityMap(channels, available),
    scale: new Float64Array(available).fill(1),
  }
}

/** The best assignment of unit rows; as they stand when that is good enough. */
function* matchRows(
  own: Float32Array,
  rows: number,
  others: Float32Array,
  available: number,
): Work<{ readonly map: ChannelMap; readonly gain: number }> {
  const inPlace = identityMap(rows, available)
  const gain = rows === available ? meanCosine(own, others, inPlace, own.length / rows) : 0
  if (gain >= IN_PLACE) return { map: inPlace, gain }
  const products = new Float64Array(rows * available)
  yield* addProducts(products, own, rows, others, available)
  return yield* bestMap(products, rows, available)
}

function* matchColumns(
  original: Network,
  suspect: Network,
  layer: Layer,
  candidate: Layer,
  output: MappedGroup,
): Work<{ readonly map: ChannelMap; readonly gain: number }> {
  const [channels, available] = [channelsOf(original, layer.input), channelsOf(suspect, candidate.input)]
  const own = unitRows(columnsAsRows(layer.weights, layer.rows, channels), channels)
  const others = unitRows(
    columnsAsRows(gatherRows(layer, candidate, output), layer.rows, available),
    available,
  )
  return yield* matchRows(own, channels, others, available)
}

/** The suspect's rows in the order of the original's, each divided by its scale: original.rows x suspect.inputs. */
export function gatherRows(layer: Layer, candidate: Layer, output: MappedGroup): Float32Array {
  const out = new Float32Array(layer.rows * candidate.inputs)
  for (let row = 0; row < layer.rows; row += 1) {
    const source = output.map[row] ?? -1
    if (source < 0) continue
    const scale = output.scale[source] ?? 1
    const from = source * candidate.inputs
    for (let i = 0; i < candidate.inputs; i += 1)
      out[row * candidate.inputs + i] = (candidate.weights[from + i] ?? 0) / scale
  }
  return out
}

function meanCosine(own: Float32Array, others: Float32Array, map: ChannelMap, size: number): number {
  let total = 0
  map.forEach((source, row) => {
    if (source < 0) return
    const [from, to] = [row * size, source * size]
    for (let i = 0; i < size; i += 1) total += (own[from + i] ?? 0) * (others[to + i] ?? 0)
  })
  return map.length === 0 ? 0 : total / map.length
}

function setGroup(matching: Matching, suspect: Network, own: number, twin: number, map: ChannelMap): void {
  const known = matching.groups.get(own)
  const scale = known?.scale ?? new Float64Array(channelsOf(suspect, twin)).fill(1)
  matching.groups.set(own, { suspect: twin, map, scale })
}

/** What the rows found were multiplied with must be undone in the next layer before its rows can be compared. */
function noteScales(original: Network, suspect: Network, index: number, matching: Matching): void {
  const layer = original.layers[index]
  const twin = suspect.layers[matching.layers[index] ?? -1]
  if (layer === undefined || twin === undefined) return
  const input = matching.groups.get(layer.input)
  const output = matching.groups.get(layer.output)
  const isFirst =
    original.groups[layer.output]?.producers.find((i) => (matching.layers[i] ?? -1) >= 0) === index
  if (input === undefined || output === undefined || !isFirst) return
  const gathered = gatherInputs(layer, twin, channelsOf(original, layer.input), input)
  rowScales(layer, gathered, output.map).forEach((fit, row) => {
    const source = output.map[row] ?? -1
    if (source >= 0) output.scale[source] = fit.scale
  })
}

/**
 * Goes over all groups again with everything that is known by now: rows of all producers and columns of all consumers vote.
 * Returns how many channels moved.
 */
export function* sweepGroups(original: Network, suspect: Network, matching: Matching): Work<number> {
  let moved = 0
  for (const [index, group] of original.groups.entries()) {
    const known = matching.groups.get(index)
    if (known === undefined || group.isInput) continue
    yield
    const available = channelsOf(suspect, known.suspect)
    const products = new Float64Array(group.channels * available)
    let votes = 0
    let inPlace = 0
    const add = (own: Float32Array, others: Float32Array) => {
      votes += 1
      inPlace += meanCosine(own, others, known.map, own.length / group.channels)
      pending.push(() => addProducts(products, own, group.channels, others, available))
    }
    const pending: (() => Work<void>)[] = []
    for (const [, layer, twin] of pairs(original, suspect, matching, group.producers)) {
      const input = matching.groups.get(layer.input)
      if (input === undefined || twin.output !== known.suspect) continue
      const gathered = gatherInputs(layer, twin, channelsOf(original, layer.input), input)
      add(unitRows(layer.weights, layer.rows), unitRows(gathered, twin.rows))
    }
    for (const [, layer, twin] of pairs(original, suspect, matching, group.consumers)) {
      const output = matching.groups.get(layer.output)
      if (output === undefined || twin.input !== known.suspect) continue
      const others = columnsAsRows(gatherRows(layer, twin, output), layer.rows, available)
      add(
        unitRows(columnsAsRows(layer.weights, layer.rows, group.channels), group.channels),
        unitRows(others, available),
      )
    }
    if (votes === 0 || inPlace / votes >= IN_PLACE) continue
    for (const vote of pending) yield* vote()
    const { map } = yield* bestMap(products, group.channels, available)
    if (gainOf(products, map, available) <= gainOf(products, known.map, available)) continue
    map.forEach((source, channel) => {
      if (source !== known.map[channel]) moved += 1
    })
    known.map.set(map)
  }
  return moved
}

function pairs(
  original: Network,
  suspect: Network,
  matching: Matching,
  indices: readonly number[],
): readonly (readonly [number, Layer, Layer])[] {
  return indices.flatMap((index) => {
    const layer = original.layers[index]
    const twin = suspect.layers[matching.layers[index] ?? -1]
    return layer === undefined || twin === undefined ? [] : [[index, layer, twin] as const]
  })
}

export function channelsOf(network: Network, group: number): number {
  return network.groups[group]?.channels ?? 0
}
