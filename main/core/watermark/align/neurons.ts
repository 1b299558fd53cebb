/** Neurons an attacker added: copies that share the work of one (split) are put together again (WATERMARK 4, step 5). */
import type { Layer, Network } from "../network/network.ts"
import { unitRows } from "./channels.ts"

/** Cosine of incoming weights and bias from which on two channels are copies of one. */
const SAME = 0.999

/**
 * Merges channels of a group that compute the same, up to a positive factor: the first one gets the outgoing weights of
 * all, the others end up without any weights. Changes the suspect's own arrays. Needs producers; without them it does nothing.
 */
export function mergeSplitChannels(suspect: Network, index: number): void {
  const group = suspect.groups[index]
  const producers = layersOf(suspect, group?.producers ?? [])
  if (group === undefined || producers.length === 0) return
  const rows = producers.map((layer) => ({ layer, unit: unitRows(withBias(layer), layer.rows) }))
  const copyOf = new Int32Array(group.channels).fill(-1)
  for (let first = 0; first < group.channels; first += 1) {
    if ((copyOf[first] ?? 0) >= 0) continue
    for (let other = first + 1; other < group.channels; other += 1) {
      if ((copyOf[other] ?? 0) >= 0) continue
      if (rows.every(({ layer, unit }) => cosine(unit, layer.inputs + 1, first, other) > SAME))
        copyOf[other] = first
    }
  }
  copyOf.forEach((first, copy) => {
    if (first >= 0) merge(suspect, group.consumers, producers, first, copy, group.channels)
  })
}

function merge(
  suspect: Network,
  consumers: readonly number[],
  producers: readonly Layer[],
  first: number,
  copy: number,
  channels: number,
): void {
  const [maker] = producers
  if (maker === undefined) return
  const ratio = norm(maker, copy) / norm(maker, first)
  for (const layer of layersOf(suspect, consumers)) {
    const size = layer.inputs / channels
    for (let row = 0; row < layer.rows; row += 1) {
      const [to, from] = [row * layer.inputs + first * size, row * layer.inputs + copy * size]
      for (let i = 0; i < size; i += 1) {
        layer.weights[to + i] = (layer.weights[to + i] ?? 0) + (layer.weights[from + i] ?? 0) * ratio
        layer.weights[from + i] = 0
      }
    }
  }
  for (const layer of producers) layer.weights.fill(0, copy * layer.inputs, (copy + 1) * layer.inputs)
}

function layersOf(network: Network, indices: readonly number[]): readonly Layer[] {
  return indices.flatMap((index) => network.layers[index] ?? [])
}

/** Rows with their bias as one more input. */
function withBias({ rows, inputs, weights, bias }: Layer): Float32Array {
  const out = new Float32Array(rows * (inputs + 1))
  for (let row = 0; row < rows; row += 1) {
    out.set(weights.subarray(row * inputs, (row + 1) * inputs), row * (inputs + 1))
    out[row * (inputs + 1) + inputs] = bias[row] ?? 0
  }
  return out
}

function cosine(unit: Float32Array, size: number, a: number, b: number): number {
  let sum = 0
  for (let i = 0; i < size; i += 1) sum += (unit[a * size + i] ?? 0) * (unit[b * size + i] ?? 0)
  return sum
}

function norm({ inputs, weights }: Layer, row: number): number {
  let sum = 0
  for (let i = row * inputs; i < (row + 1) * inputs; i += 1) sum += (weights[i] ?? 0) ** 2
  return Math.sqrt(sum)
}
