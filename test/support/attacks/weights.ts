/** Attacks on the numbers of the weights: rounding, pruning, noise, clipping, overwriting, fewer singular values. */
import { intValue, type EditorModel, type EditorNode, type EditorTensor } from "./onnx-editor.ts"
import type { Dice } from "./random.ts"

/** A float tensor that a layer multiplies with, as rows x columns whatever way it lies. */
export interface WeightMatrix {
  readonly tensor: EditorTensor
  readonly node: EditorNode
  readonly values: Float32Array
  readonly rowAxis: number
  readonly rows: number
  /** Row of the element at position i of `values`. */
  readonly rowOf: (i: number) => number
}

/** The weights of all layers, each once, also those behind Transpose, Cast or DequantizeLinear of the given name. */
export function weightsOf(model: EditorModel): readonly WeightMatrix[] {
  const tensors = new Map(model.tensors.map((tensor) => [tensor.name, tensor]))
  const seen = new Set<EditorTensor>()
  const out: WeightMatrix[] = []
  for (const node of model.nodes) {
    for (const input of weightInputs(node)) {
      const tensor = tensors.get(node.inputs[input] ?? "")
      if (tensor === undefined || tensor.values === null || tensor.dims.length < 2 || seen.has(tensor))
        continue
      seen.add(tensor)
      const rowAxis = rowAxisOf(node, tensor.dims.length)
      const rows = tensor.dims[rowAxis] ?? 1
      const inner = tensor.dims.slice(rowAxis + 1).reduce((product, size) => product * size, 1)
      out.push({
        tensor,
        node,
        values: tensor.values,
        rowAxis,
        rows,
        rowOf: (i) => Math.floor(i / inner) % rows,
      })
    }
  }
  return out
}

function weightInputs(node: EditorNode): readonly number[] {
  if (node.opType === "MatMul") return [0, 1]
  return node.opType === "Conv" || node.opType === "Gemm" ? [1] : []
}

function rowAxisOf(node: EditorNode, rank: number): number {
  if (node.opType === "Conv") return 0
  if (node.opType === "Gemm") return intValue(node, "transB") === 1 ? 0 : 1
  return rank - 1
}

/** Standard deviation of each row. */
function rowSpreads({ values, rows, rowOf }: WeightMatrix): Float64Array {
  const sums = new Float64Array(rows)
  const squares = new Float64Array(rows)
  for (let i = 0; i < values.length; i += 1) {
    const [row, value] = [rowOf(i), values[i] ?? 0]
    sums[row] = (sums[row] ?? 0) + value
    squares[row] = (squares[row] ?? 0) + value * value
  }
  const size = values.length / rows
  return sums.map((sum, row) => Math.sqrt(Math.max(0, (squares[row] ?? 0) / size - (sum / size) ** 2)))
}

/** Adds normal noise of `strength` standard deviations of the row. */
export function addNoise(model: EditorModel, strength: number, dice: Dice): void {
  for (const matrix of weightsOf(model)) {
    const spreads = rowSpreads(matrix)
    matrix.values.forEach((value, i) => {
      matrix.values[i] = value + strength * (spreads[matrix.rowOf(i)] ?? 0) * dice.normal()
    })
  }
}

/** Sets the smallest `share` of all weights of all layers to 0. */
export function pruneGlobally(model: EditorModel, share: number): void {
  const matrices = weightsOf(model)
  const sizes = Float32Array.from(matrices.flatMap(({ values }) => Array.from(values, Math.abs))).sort()
  const limit = sizes[Math.floor(sizes.length * share)] ?? 0
  for (const { values } of matrices) {
    values.forEach((value, i) => {
      if (Math.abs(value) < limit) values[i] = 0
    })
  }
}

/** Sets weights to 0 by chance. */
export function pruneByChance(model: EditorModel, share: number, dice: Dice): void {
  for (const { values } of weightsOf(model)) {
    for (let i = 0; i < values.length; i += 1) if (dice.uniform() < share) values[i] = 0
  }
}

/** Limits weights to so many standard deviations of their row. */
export function clipWeights(model: EditorModel, deviations: number): void {
  for (const matrix of weightsOf(model)) {
    const spreads = rowSpreads(matrix)
    matrix.values.forEach((value, i) => {
      const limit = deviations * (spreads[matrix.rowOf(i)] ?? 0)
      matrix.values[i] = Math.min(limit, Math.max(-limit, value))
    })
  }
}

/** Marks once more with signs of the attacker's own: owner and device part, `strength` standard deviations each. */
export function overwrite(model: EditorModel, strength: number, dice: Dice): void {
  for (const matrix of weightsOf(model)) {
    const spreads = rowSpreads(matrix)
    matrix.values.forEach((value, i) => {
      matrix.values[i] = value + strength * (spreads[matrix.rowOf(i)] ?? 0) * (dice.sign() + dice.sign())
    })
  }
}

/** Keeps the largest `share` of the singular values of every matrix (rows x the rest). */
export function reduceRank(model: EditorModel, share: number): void {
  for (const matrix of weightsOf(model)) {
    const { values, rows, rowOf } = matrix
    const columns = values.length / rows
    const order = new Int32Array(values.length)
    const filled = new Int32Array(rows)
    const a = new Float64Array(values.length)
    values.forEach((value, i) => {
      const row = rowOf(i)
      order[i] = row * columns + (filled[row] ?? 0)
      filled[row] = (filled[row] ?? 0) + 1
      a[order[i] ?? 0] = value
    })
    const kept = lowRank(a, rows, columns, Math.max(1, Math.round(Math.min(rows, columns) * share)))
    order.forEach((place, i) => (values[i] = kept[place] ?? 0))
  }
}

/** One-sided Jacobi: rows are turned against each other until all are orthogonal; their norms are the singular values. */
function lowRank(a: Float64Array, rows: number, columns: number, rank: number): Float64Array {
  const work = a.slice()
  const turns = Float64Array.from({ length: rows * rows }, (_, i) => (i % (rows + 1) === 0 ? 1 : 0))
  for (let sweep = 0; sweep < 30; sweep += 1) {
    let largest = 0
    for (let p = 0; p < rows; p += 1) {
      for (let q = p + 1; q < rows; q += 1) {
        let [pp, qq, pq] = [0, 0, 0]
        for (let k = 0; k < columns; k += 1) {
          const [x, y] = [work[p * columns + k] ?? 0, work[q * columns + k] ?? 0]
          pp += x * x
          qq += y * y
          pq += x * y
        }
        if (Math.abs(pq) <= 1e-9 * Math.sqrt(pp * qq) || pp * qq === 0) continue
        largest = Math.max(largest, Math.abs(pq) / Math.sqrt(pp * qq))
        const zeta = (qq - pp) / (2 * pq)
        const t = Math.sign(zeta || 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta))
        const c = 1 / Math.sqrt(1 + t * t)
        rotate(work, columns, p, q, c, c * t)
        rotate(turns, rows, p, q, c, c * t)
      }
    }
    if (largest < 1e-7) break
  }
  const norms = Array.from({ length: rows }, (_, row) =>
    work.subarray(row * columns, (row + 1) * columns).reduce((sum, x) => sum + x * x, 0),
  )
  const kept = norms
    .map((norm, row) => ({ norm, row }))
    .sort((x, y) => y.norm - x.norm)
    .slice(0, rank)
  const out = new Float64Array(a.length)
  for (const { row } of kept) {
    for (let i = 0; i < rows; i += 1) {
      const weight = turns[row * rows + i] ?? 0
      for (let k = 0; k < columns; k += 1)
        out[i * columns + k] = (out[i * columns + k] ?? 0) + weight * (work[row * columns + k] ?? 0)
    }
  }
  return out
}

function rotate(m: Float64Array, size: number, p: number, q: number, c: number, s: number): void {
  for (let k = 0; k < size; k += 1) {
    const [x, y] = [m[p * size + k] ?? 0, m[q * size + k] ?? 0]
    m[p * size + k] = c * x - s * y
    m[q * size + k] = s * x + c * y
  }
}
