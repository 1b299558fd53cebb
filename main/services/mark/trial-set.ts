/** Inputs on which the cost of a mark is found, and others on which it is certified. */
import { AppError } from "../../contract/errors.ts"
import type { MarkRequest } from "../../contract/schema/mark.ts"
import { readNpyHeader, readNpyRows, npyRowCount } from "../../core/bytes/npy.ts"
import { openFeed } from "../feed.ts"
import type { Files, Tensor, ValueInfo } from "../ports.ts"
import type { TrialProcess } from "../ports/trial.ts"
import { toNumbers } from "../statistics.ts"

/** Batches kept in a trial process, by number. */
export interface TrialSet {
  /** Where the inputs are from: somebody's data, or made up. */
  readonly kind: "calibration" | "synthetic"
  readonly search: readonly number[]
  /** Not used by the search; the certificate is about these. */
  readonly heldOut: readonly number[]
  readonly heldOutRows: number
  /** Right answers of the held-out rows, when they were given. */
  readonly labels: readonly number[] | null
}

/** Rows of each half at most: enough to tell 1 % from 2 %, and quick. */
const MAX_ROWS = 128
const SYNTHETIC_ROWS = 64

/** Throws INPUT_MISMATCH for arrays the model does not take, NPY_MALFORMED, NPY_UNSUPPORTED. */
export async function calibrationSet(
  files: Files,
  request: MarkRequest,
  trial: TrialProcess,
): Promise<TrialSet> {
  if (request.calibration === null) throw new AppError("INTERNAL", "there are no calibration data")
  const inputs = [{ name: null, file: request.calibration }]
  const feed = await openFeed(files, { inputs, normalise: request.normalise, batch: null }, trial.inputs)
  try {
    if (feed.rows < 2) throw new AppError("INPUT_MISMATCH", "calibration needs two rows at least")
    const batches = Math.ceil(feed.rows / feed.batch)
    const half = Math.min(Math.ceil(batches / 2), Math.ceil(MAX_ROWS / feed.batch))
    const search: number[] = []
    const heldOut: number[] = []
    for (let batch = 0; batch < Math.min(batches, 2 * half); batch += 1) {
      const number = await trial.keep(await feed.batchAt(batch * feed.batch))
      if (batch < half) search.push(number)
      else heldOut.push(number)
    }
    const from = half * feed.batch
    const to = Math.min(feed.rows, 2 * half * feed.batch)
    const labels = request.labels === null ? null : await readLabels(files, request, feed.rows)
    return {
      kind: "calibration",
      search,
      // A set of one batch is its own certificate.
      heldOut: heldOut.length === 0 ? search : heldOut,
      heldOutRows: heldOut.length === 0 ? feed.rows : to - from,
      labels: labels?.slice(heldOut.length === 0 ? 0 : from, heldOut.length === 0 ? feed.rows : to) ?? null,
    }
  } finally {
    await feed.close()
  }
}

/** Made-up inputs, the same for the same model; `null` when its inputs are not plain arrays of known size. */
export async function syntheticSet(trial: TrialProcess): Promise<TrialSet | null> {
  const leading = trial.inputs.map(({ shape }) => shape[0])
  const isBatched = leading.every((size) => typeof size !== "number")
  const rows = isBatched ? SYNTHETIC_ROWS : 1
  const numbers: number[] = []
  for (let batch = 0; batch < (isBatched ? 2 : SYNTHETIC_ROWS); batch += 1) {
    const random = normalNumbers(batch + 1)
    const inputs: Tensor[] = []
    for (const input of trial.inputs) {
      const made = makeInput(input, rows, random)
      if (made === null) return null
      inputs.push(made)
    }
    numbers.push(await trial.keep(inputs))
  }
  const half = numbers.length / 2
  return {
    kind: "synthetic",
    search: numbers.slice(0, half),
    heldOut: numbers.slice(half),
    heldOutRows: isBatched ? rows : half,
    labels: null,
  }
}

function makeInput({ name, type, shape }: ValueInfo, rows: number, random: () => number): Tensor | null {
  if (type !== "float32" || shape.length === 0) return null
  const sizes = shape.map((size, axis) => (typeof size === "number" ? size : axis === 0 ? rows : null))
  const known = sizes.filter((size) => size !== null)
  if (known.length < sizes.length) return null
  const count = known.reduce((product, size) => product * size, 1)
  const values = Float32Array.from({ length: count }, random)
  return { name, type, shape: known, data: new Uint8Array(values.buffer) }
}

async function readLabels(files: Files, request: MarkRequest, rows: number): Promise<readonly number[]> {
  if (request.labels === null) return []
  const file = await files.open(request.labels)
  try {
    const header = await readNpyHeader(file)
    const count = npyRowCount(header)
    if (count !== rows)
      throw new AppError("INPUT_MISMATCH", `${count} labels for ${rows} rows of calibration`)
    const { dtype, data } = await readNpyRows(file, header, 0, count)
    return toNumbers({ type: dtype, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) })
  } finally {
    await file.close()
  }
}

/** Standard normal numbers from xorshift32 by the sum of twelve uniforms: nobody's secret, so no generator for secrets. */
function normalNumbers(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) | 1
  const uniform = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
  return () => {
    let sum = -6
    for (let i = 0; i < 12; i += 1) sum += uniform()
    return sum
  }
}
