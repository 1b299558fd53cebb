/**
 * The weights of an original in canonical form: float32, dequantised, multiplied by the factor of the BatchNormalization
 * behind the layer, in the order they are stored. Embedding and detection both start here.
 */
import { fromFloat16 } from "../bytes/float16.ts"
import type { DataType } from "../onnx/data-type.ts"
import { readElements, stretchesOf, type ModelFiles } from "../onnx/elements.ts"
import type { ModelGraph } from "../onnx/model-index.ts"
import type { TensorEntry } from "../onnx/walk.ts"
import { rowsOf } from "./kernel.ts"
import { tensorHasher } from "./plan.ts"
import { findLayerWeights, type BatchNorm, type LayerWeight, type SkippedTensor } from "./weights.ts"

/** A tensor that can carry the mark, measured. */
export interface OriginalTensor {
  /** H_t, hex. */
  readonly hash: string
  /** Where it stands; more than one place when tensors have the same content, shape, rows and factors. */
  readonly places: readonly LayerWeight[]
  readonly dims: readonly number[]
  readonly rowAxis: number
  readonly rows: number
  readonly fanIn: number
  readonly elementCount: number
  readonly form: LayerWeight["form"]
  readonly dataType: DataType
  /** σ of each row in canonical form; 0 for a row that carries nothing. */
  readonly sigmas: Float32Array
  /** What canonical values are multiples of the stored ones by, one a row: the BatchNormalization's g, or Δ when quantised. */
  readonly factors: Float64Array
  /** Of quantised tensors, one a row. */
  readonly zeroPoints: Int32Array
  /** Weights that are not exactly zero, in rows whose σ is not. */
  readonly live: number
}

/** Elements of tensors whose values are varints; more than any converter writes that way. */
const MAX_VARINTS = 1 << 24

/**
 * Measures every tensor of a model that can carry the mark, reading each of them once. `skipped` names the others with the
 * reason, in file order. Throws FILE_CHANGED and what the index throws.
 */
export async function measureOriginal(
  graph: ModelGraph,
  files: ModelFiles,
): Promise<{ readonly tensors: readonly OriginalTensor[]; readonly skipped: readonly SkippedTensor[] }> {
  const { weights, skipped: unfit } = findLayerWeights(graph)
  const skipped = [...unfit]
  const byContent = new Map<string, OriginalTensor>()
  for (const weight of weights) {
    const measured = await measure(weight, files)
    if (typeof measured === "string") {
      skipped.push({ tensor: weight.tensor, why: measured })
      continue
    }
    const key = `${measured.hash}/${weight.rowAxis}/${weight.form}`
    const tied = byContent.get(key)
    byContent.set(key, tied === undefined ? measured : { ...tied, places: [...tied.places, weight] })
  }
  return separateBytes([...byContent.values()], skipped)
}

/**
 * Two tensors that name the same bytes of an external file are marked once; one that shares only some of its bytes with
 * another cannot be marked at all, since each would undo the other's mark.
 */
function separateBytes(
  tensors: readonly OriginalTensor[],
  skipped: SkippedTensor[],
): { readonly tensors: readonly OriginalTensor[]; readonly skipped: readonly SkippedTensor[] } {
  const taken = new Map<string | null, { readonly start: number; readonly end: number }[]>()
  const separate = tensors.flatMap((tensor) => {
    const places = tensor.places.filter((place) => {
      for (const { location, offset, count, stride } of stretchesOf(place.tensor) ?? []) {
        const span = { start: offset, end: offset + count * stride }
        const others = taken.get(location) ?? []
        const other = others.find(({ start, end }) => start < span.end && span.start < end)
        if (other !== undefined) {
          const isSame = other.start === span.start && other.end === span.end
          skipped.push({
            tensor: place.tensor,
            why: isSame ? "the same bytes as another tensor" : "shares bytes with another tensor",
          })
          return false
        }
        taken.set(location, [...others, span])
      }
      return true
    })
    return places.length === 0 ? [] : [{ ...tensor, places }]
  })
  return { tensors: separate, skipped }
}

/** Canonical values in stored order, some 64 Ki at a time; `first` is the index of the first. A piece belongs to the caller. */
export async function* readCanonical(
  tensor: Pick<OriginalTensor, "places" | "rowAxis" | "dims" | "factors" | "zeroPoints">,
  files: ModelFiles,
): AsyncGenerator<{ readonly first: number; readonly values: Float32Array }> {
  const [place] = tensor.places
  if (place === undefined) return
  const { dataType } = place.tensor
  const { dims, rowAxis, factors, zeroPoints } = tensor
  const stays = factors.every((factor) => factor === 1) && zeroPoints.every((zero) => zero === 0)
  for await (const { first, bytes } of readElements(place.tensor, files)) {
    const values = toNumbers(bytes, dataType)
    if (!stays) {
      const rows = rowsOf(values.length, { first, ...stridesOf({ dims, rowAxis }) })
      for (let i = 0; i < values.length; i += 1) {
        const row = rows[i] ?? 0
        // Rounded to float32 by the array: canonical values are float32 by definition.
        values[i] = ((values[i] ?? 0) - (zeroPoints[row] ?? 0)) * (factors[row] ?? 1)
      }
    }
    yield { first, values }
  }
}

/** All canonical values of a tensor in stored order, `elementCount` of them. */
export async function readWholeCanonical(tensor: OriginalTensor, files: ModelFiles): Promise<Float32Array> {
  const out = new Float32Array(tensor.elementCount)
  for await (const { first, values } of readCanonical(tensor, files)) out.set(values, first)
  return out
}

interface Rows {
  readonly dims: readonly number[]
  readonly rowAxis: number
}

/** Elements of a row that stand one behind the other, and how many rows there are. */
export function stridesOf({ dims, rowAxis }: Rows): { readonly inner: number; readonly rows: number } {
  return {
    inner: dims.slice(rowAxis + 1).reduce((product, dim) => product * dim, 1),
    rows: dims[rowAxis] ?? 1,
  }
}

/** The row of an element by its index in stored order. */
export function rowIndex(tensor: Rows): (element: number) => number {
  const { inner, rows } = stridesOf(tensor)
  return inner === 1 ? (element) => element % rows : (element) => Math.floor(element / inner) % rows
}

async function measure(weight: LayerWeight, files: ModelFiles): Promise<OriginalTensor | string> {
  const { tensor, rowAxis, rows, fanIn } = weight
  if (stretchesOf(tensor) === null && tensor.elementCount > MAX_VARINTS)
    return "too many values in int32_data"
  const factors = await readFactors(weight, files)
  const zeroPoints = await readZeroPoints(weight, files)
  if (factors === null || zeroPoints === null) return "scales that are not finite numbers"
  const base = { places: [weight], dims: tensor.dims, rowAxis, factors, zeroPoints }
  const hasher = tensorHasher(tensor.dims)
  const strides = stridesOf(base)
  const moments = new Moments(rows)
  for await (const { first, values } of readCanonical(base, files)) {
    hasher.update(values)
    if (!moments.add(values, rowsOf(values.length, { first, ...strides })))
      return "holds NaN or infinite values"
  }
  const sigmas = moments.sigmas(fanIn)
  const live = moments.live(sigmas)
  if (live === 0) return "all rows are constant"
  return {
    ...base,
    hash: hasher.finish(),
    rows,
    fanIn,
    elementCount: tensor.elementCount,
    form: weight.form,
    dataType: tensor.dataType,
    sigmas,
    live,
  }
}

/** Sums a row, in element order and double precision, so that σ is the same wherever it is computed. */
class Moments {
  readonly #sums: Float64Array
  readonly #squares: Float64Array
  readonly #nonZero: Float64Array

  constructor(rows: number) {
    this.#sums = new Float64Array(rows)
    this.#squares = new Float64Array(rows)
    this.#nonZero = new Float64Array(rows)
  }

  /** False when a value is not finite. `rows` has the row of each. */
  add(values: Float32Array, rows: Uint32Array): boolean {
    const [sums, squares, nonZero] = [this.#sums, this.#squares, this.#nonZero]
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i] ?? 0
      if (value - value !== 0) return false
      const row = rows[i] ?? 0
      sums[row] = (sums[row] ?? 0) + value
      squares[row] = (squares[row] ?? 0) + value * value
      if (value !== 0) nonZero[row] = (nonZero[row] ?? 0) + 1
    }
    return true
  }

  /** Standard deviations (of the population) as float32; 0 where rounding is all there is. */
  sigmas(fanIn: number): Float32Array {
    return Float32Array.from(this.#sums, (sum, row) => {
      const meanSquare = (this.#squares[row] ?? 0) / fanIn
      const variance = meanSquare - (sum / fanIn) ** 2
      return variance > meanSquare * RELATIVE_ROUNDING ? Math.sqrt(variance) : 0
    })
  }

  live(sigmas: Float32Array): number {
    return this.#nonZero.reduce((count, nonZero, row) => count + ((sigmas[row] ?? 0) > 0 ? nonZero : 0), 0)
  }
}

/** A variance below this share of the mean square is what is left of a constant row after rounding. */
const RELATIVE_ROUNDING = 1e-10

/** Canonical value per stored step, one a row; `null` when one is not a finite number. */
async function readFactors(weight: LayerWeight, files: ModelFiles): Promise<Float64Array | null> {
  const factors = new Float64Array(weight.rows).fill(1)
  if (weight.scale !== null) spread(await readSmall(weight.scale, files), factors)
  if (weight.norm !== null) factors.set(await readNorm(weight.norm, files))
  return factors.every(Number.isFinite) ? factors : null
}

/** g = gamma / sqrt(variance + epsilon), one a row. */
async function readNorm({ gamma, variance, epsilon }: BatchNorm, files: ModelFiles): Promise<Float64Array> {
  const scale = await readSmall(gamma, files)
  const spreads = await readSmall(variance, files)
  return Float64Array.from(scale, (value, row) => value / Math.sqrt((spreads[row] ?? 0) + epsilon))
}

async function readZeroPoints(weight: LayerWeight, files: ModelFiles): Promise<Int32Array | null> {
  const zeroPoints = new Int32Array(weight.rows)
  if (weight.zeroPoint !== null) spread(await readSmall(weight.zeroPoint, files), zeroPoints)
  return zeroPoints
}

/** One value for all, or one each. */
function spread(values: Float32Array, into: Float64Array | Int32Array): void {
  if (values.length === 1) into.fill(values[0] ?? 0)
  else into.set(values)
}

async function readSmall(tensor: TensorEntry, files: ModelFiles): Promise<Float32Array> {
  const out = new Float32Array(tensor.elementCount)
  for await (const { first, bytes } of readElements(tensor, files))
    out.set(toNumbers(bytes, tensor.dataType), first)
  return out
}

/** Elements as numbers; `bytes` holds whole elements, little-endian, and belongs to us. */
function toNumbers(bytes: Uint8Array<ArrayBuffer>, type: DataType): Float32Array {
  if (type === "FLOAT") return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  if (type === "INT8") return Float32Array.from(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length))
  if (type !== "FLOAT16" && type !== "BFLOAT16") return Float32Array.from(bytes)
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)
  if (type === "FLOAT16") return Float32Array.from(halves, fromFloat16)
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer)
}
