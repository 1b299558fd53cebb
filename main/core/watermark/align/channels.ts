/** Comparing layers channel by channel: how alike rows and columns are under the channel maps known so far. */
import { assign } from "../lap.ts"
import type { Layer } from "../network/network.ts"
import { STRETCH, type Work } from "../work.ts"

/** For each channel of the original the suspect's channel that is its counterpart, -1 for none. */
export type ChannelMap = Int32Array

/** The suspect's side of a group: what each channel's rows were multiplied with, to be undone in whoever reads it. */
export interface MappedGroup {
  /** Place of the group in the suspect. */
  readonly suspect: number
  readonly map: ChannelMap
  /** By channel of the suspect; 1 where nothing is known. */
  readonly scale: Float64Array
}

export function identityMap(channels: number, available: number): ChannelMap {
  return Int32Array.from({ length: channels }, (_, channel) => (channel < available ? channel : -1))
}

/** Inputs that a row has for each channel of its input group: kernel taps, times positions that were flattened. */
export function inputsPerChannel(layer: Layer, channels: number): number {
  return layer.inputs / channels
}

/**
 * All rows of the suspect's layer with their inputs in the order of the original's, scaled as the producers of those
 * channels demand: suspect.rows x original.inputs. Inputs without counterpart are NaN.
 */
export function gatherInputs(
  original: Layer,
  suspect: Layer,
  channels: number,
  input: MappedGroup,
): Float32Array {
  const size = inputsPerChannel(original, channels)
  const out = new Float32Array(suspect.rows * original.inputs).fill(Number.NaN)
  for (let row = 0; row < suspect.rows; row += 1) {
    const from = row * suspect.inputs
    const to = row * original.inputs
    for (let channel = 0; channel < channels; channel += 1) {
      const source = input.map[channel] ?? -1
      if (source < 0) continue
      const scale = input.scale[source] ?? 1
      const [first, at] = [from + source * size, to + channel * size]
      for (let i = 0; i < size; i += 1) out[at + i] = (suspect.weights[first + i] ?? 0) * scale
    }
  }
  return out
}

/** Unit vectors, one a row; NaN becomes 0, and so does a row of nothing. */
export function unitRows(values: Float32Array, rows: number): Float32Array {
  const size = values.length / Math.max(1, rows)
  const out = new Float32Array(values.length)
  for (let row = 0; row < rows; row += 1) {
    let squares = 0
    for (let i = row * size; i < (row + 1) * size; i += 1) {
      const value = values[i] ?? 0
      if (Number.isFinite(value)) squares += value * value
    }
    const norm = Math.sqrt(squares)
    if (!(norm > 0) || !Number.isFinite(norm)) continue
    for (let i = row * size; i < (row + 1) * size; i += 1) {
      const value = values[i] ?? 0
      out[i] = Number.isFinite(value) ? value / norm : 0
    }
  }
  return out
}

/** Columns (groups of `size` inputs that belong to one channel) as rows: channels x (rows · size). */
export function columnsAsRows(values: Float32Array, rows: number, channels: number): Float32Array {
  const inputs = values.length / Math.max(1, rows)
  const size = inputs / channels
  const out = new Float32Array(values.length)
  for (let row = 0; row < rows; row += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      const from = row * inputs + channel * size
      const to = (channel * rows + row) * size
      for (let i = 0; i < size; i += 1) out[to + i] = values[from + i] ?? 0
    }
  }
  return out
}

/** Adds the scalar products of all rows of `a` with all rows of `b` to `gain` (rowsA x rowsB). */
export function* addProducts(
  gain: Float64Array,
  a: Float32Array,
  rowsA: number,
  b: Float32Array,
  rowsB: number,
): Work<void> {
  const size = a.length / Math.max(1, rowsA)
  let since = 0
  for (let i = 0; i < rowsA; i += 1) {
    since += rowsB * size
    if (since >= STRETCH) {
      since = 0
      yield
    }
    for (let j = 0; j < rowsB; j += 1) {
      const [from, to] = [i * size, j * size]
      let sum = 0
      for (let k = 0; k < size; k += 1) sum += (a[from + k] ?? 0) * (b[to + k] ?? 0)
      gain[i * rowsB + j] = (gain[i * rowsB + j] ?? 0) + sum
    }
  }
}

/** The assignment of the largest gain, whichever side has more channels; the gain is the mean over the original's channels. */
export function* bestMap(
  gain: Float64Array,
  original: number,
  suspect: number,
): Work<{ readonly map: ChannelMap; readonly gain: number }> {
  const map = new Int32Array(original).fill(-1)
  if (original <= suspect) map.set(yield* assign(gain, original, suspect))
  else {
    const turned = new Float64Array(gain.length)
    for (let i = 0; i < original; i += 1)
      for (let j = 0; j < suspect; j += 1) turned[j * original + i] = gain[i * suspect + j] ?? 0
    const channels = yield* assign(turned, suspect, original)
    channels.forEach((channel, source) => {
      map[channel] = source
    })
  }
  return { map, gain: gainOf(gain, map, suspect) }
}

export function gainOf(gain: Float64Array, map: ChannelMap, suspect: number): number {
  let sum = 0
  map.forEach((source, channel) => {
    if (source >= 0) sum += gain[channel * suspect + source] ?? 0
  })
  return map.length === 0 ? 0 : sum / map.length
}
