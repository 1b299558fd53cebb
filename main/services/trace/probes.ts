/** Inputs on the decision boundary: the points between two inputs of different classes where the answer changes. */
import { AppError } from "../../contract/errors.ts"
import type { TraceBlackboxRequest } from "../../contract/schema/trace-blackbox.ts"
import { openFeed } from "../feed.ts"
import type { Ports, Tensor, ValueInfo } from "../ports.ts"
import type { Patch, TrialProcess } from "../ports/trial.ts"
import { topOf, type CopyDesk, type Scores } from "./copy-desk.ts"

/** Rows of the data that are used at most. */
const MAX_ROWS = 1000
/** Halvings of the way between two inputs. */
const STEPS = 20

export interface Probes {
  /** All probes as batches the model takes. */
  readonly batches: readonly Tensor[]
  /** Classes on either side of each probe. */
  readonly first: Int32Array
  readonly second: Int32Array
}

/** Finds probes of the model with `patches`. Throws INPUT_MISMATCH for data of one class only, or a model of several inputs. */
export async function findProbes(
  ports: Ports,
  desk: CopyDesk,
  patches: readonly Patch[],
  request: TraceBlackboxRequest,
  progress: (step: number) => void,
): Promise<Probes> {
  const input = onlyInput(desk.process.inputs)
  const rows = await readRows(ports, request, desk.process)
  const size = rows.length === 0 ? 0 : (rows[0]?.length ?? 0)
  const labels = await run(desk, patches, rows, input)
  const pairs = pairUp(labels, rows.length, request.probes)
  const first = Int32Array.from(pairs, ([a]) => topOf(labels, a))
  const low = new Float64Array(pairs.length)
  const high = new Float64Array(pairs.length).fill(1)
  const between = (share: (probe: number) => number) =>
    pairs.map(([a, b], probe) => {
      const out = new Float32Array(size)
      for (let i = 0; i < size; i += 1)
        out[i] = (rows[a]?.[i] ?? 0) + share(probe) * ((rows[b]?.[i] ?? 0) - (rows[a]?.[i] ?? 0))
      return out
    })
  const middle = (probe: number) => ((low[probe] ?? 0) + (high[probe] ?? 1)) / 2
  for (let step = 0; step < STEPS; step += 1) {
    const scores = await run(desk, patches, between(middle), input)
    pairs.forEach((_, probe) => {
      if (topOf(scores, probe) === first[probe]) low[probe] = middle(probe)
      else high[probe] = middle(probe)
    })
    progress(step + 1)
  }
  // Whatever class begins where the first one ends; that of the other input may lie further on.
  const beyond = await run(
    desk,
    patches,
    between((probe) => high[probe] ?? 1),
    input,
  )
  const second = Int32Array.from(pairs, (_, probe) => topOf(beyond, probe))
  return { batches: toBatches(between(middle), input), first, second }
}

/** Score of the first class minus that of the second, of one probe. */
export function marginOf(
  { classes, values }: Scores,
  probe: number,
  first: Int32Array,
  second: Int32Array,
): number {
  return (
    (values[probe * classes + (first[probe] ?? 0)] ?? 0) -
    (values[probe * classes + (second[probe] ?? 0)] ?? 0)
  )
}

function onlyInput(inputs: readonly ValueInfo[]): ValueInfo {
  const [input, ...more] = inputs
  if (input === undefined || more.length > 0 || input.type !== "float32")
    throw new AppError("INPUT_MISMATCH", "black-box tracing takes models of one float32 input")
  return input
}

async function readRows(
  ports: Ports,
  { data, normalise }: TraceBlackboxRequest,
  process: TrialProcess,
): Promise<readonly Float32Array[]> {
  const feed = await openFeed(
    ports.files,
    { inputs: [{ name: null, file: data }], normalise, batch: null },
    process.inputs,
  )
  try {
    const rows: Float32Array[] = []
    for (let row = 0; row < Math.min(feed.rows, MAX_ROWS); row += feed.batch) {
      const [tensor] = await feed.batchAt(row)
      if (tensor === undefined) break
      const values = new Float32Array(Uint8Array.from(tensor.data).buffer)
      const count = tensor.shape[0] ?? 1
      const size = values.length / count
      for (let i = 0; i < count; i += 1) rows.push(values.slice(i * size, (i + 1) * size))
    }
    return rows
  } finally {
    await feed.close()
  }
}

/** Pairs of rows with different answers, spread over the data. */
function pairUp(labels: Scores, rows: number, count: number): readonly (readonly [number, number])[] {
  const tops = Int32Array.from({ length: rows }, (_, row) => topOf(labels, row))
  if (new Set(tops).size < 2)
    throw new AppError(
      "INPUT_MISMATCH",
      "all inputs belong to one class, so there is no boundary between them",
    )
  return Array.from({ length: count }, (_, probe) => {
    const a = probe % rows
    let b = (a + 1 + Math.floor(probe / rows) * 97 + ((probe * 31) % rows)) % rows
    while (tops[b] === tops[a]) b = (b + 1) % rows
    return [a, b] as const
  })
}

async function run(
  desk: CopyDesk,
  patches: readonly Patch[],
  rows: readonly Float32Array[],
  input: ValueInfo,
): Promise<Scores> {
  const numbers: number[] = []
  for (const batch of toBatches(rows, input)) numbers.push(await desk.process.keep([batch]))
  return desk.scores(patches, numbers)
}

/** Rows in batches of the size the model fixes, or in one. A last batch that is not full is filled up with its last row. */
function toBatches(rows: readonly Float32Array[], { name, type, shape }: ValueInfo): readonly Tensor[] {
  const [leading] = shape
  const size = typeof leading === "number" ? leading : rows.length
  const inner = shape.slice(1).map((dim) => (typeof dim === "number" ? dim : 1))
  const out: Tensor[] = []
  for (let row = 0; row < rows.length; row += size) {
    const last = rows.length - 1
    const part = Array.from({ length: size }, (_, i) => rows[Math.min(row + i, last)] ?? new Float32Array(0))
    const data = Buffer.concat(part.map((values) => new Uint8Array(values.buffer)))
    out.push({ name, type, shape: [size, ...inner], data })
  }
  return out
}
