/**
 * The value that would stand at place `k` if the list were sorted (Hoare's selection, the middle of three as pivot). The list
 * is put into another order. NaN must not be in it.
 */
export function select(values: Float64Array | Float32Array, k: number): number {
  let [low, high] = [0, values.length - 1]
  while (low < high) {
    const pivot = middleOf(values[low] ?? 0, values[(low + high) >> 1] ?? 0, values[high] ?? 0)
    let [i, j] = [low, high]
    while (i <= j) {
      while ((values[i] ?? 0) < pivot) i += 1
      while ((values[j] ?? 0) > pivot) j -= 1
      if (i > j) break
      const moved = values[i] ?? 0
      values[i] = values[j] ?? 0
      values[j] = moved
      i += 1
      j -= 1
    }
    if (k <= j) high = j
    else if (k >= i) low = i
    else break
  }
  return values[k] ?? 0
}

/** The median; of an even number the mean of the middle two. The list is put into another order. */
export function medianOf(values: Float64Array | Float32Array): number {
  const half = values.length >> 1
  const upper = select(values, half)
  if (values.length % 2 === 1) return upper
  let lower = -Infinity
  // Behind a selection nothing before place k is larger than what stands there.
  for (let i = 0; i < half; i += 1) lower = Math.max(lower, values[i] ?? 0)
  return (lower + upper) / 2
}

function middleOf(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c))
}
