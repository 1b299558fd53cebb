/** Whether a package works on this machine: it loads in a sealed runtime and computes what its grant, or the caller, says. */
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { Install } from "../../contract/schema/deployment.ts"
import { npyRowCount, readNpyHeader, readNpyRows } from "../../core/bytes/npy.ts"
import { sourceOf, type ByteSource } from "../../core/bytes/source.ts"
import type { Golden } from "../../core/policy/grant.ts"
import { openFeed } from "../feed.ts"
import type { OpenFile, Ports, RuntimeProcess } from "../ports.ts"
import { loadSealedModel } from "../sealed-model.ts"
import { toNumbers } from "../statistics.ts"

/** Throws GATE_FAILED for an output that is off, and whatever loading throws. */
export async function checkHealth(
  ports: Ports,
  file: FileRef,
  { device, golden }: Install,
  signal: AbortSignal,
): Promise<void> {
  const model = await loadSealedModel(ports, { file, device, trust: null }, null, signal)
  try {
    if (model.golden !== null) await checkGranted(model.runtime, file, model.golden, signal)
    if (golden !== null) await checkGiven(ports, model.runtime, golden, signal)
  } finally {
    await model.runtime.close()
  }
}

/** What the packager put into the grant. `file` only stands for the array, which is in memory. */
async function checkGranted(
  runtime: RuntimeProcess,
  file: FileRef,
  { input, output, tolerance }: Golden,
  signal: AbortSignal,
): Promise<void> {
  const files = { open: async () => inMemory(input) }
  await checkOutputs(files, runtime, file, sourceOf(output), tolerance, signal)
}

/** What whoever installs gave besides. */
async function checkGiven(
  ports: Ports,
  runtime: RuntimeProcess,
  { input, output, tolerance }: NonNullable<Install["golden"]>,
  signal: AbortSignal,
): Promise<void> {
  const file = await ports.files.open(output)
  try {
    await checkOutputs(ports.files, runtime, input, file, tolerance, signal)
  } finally {
    await file.close()
  }
}

/** The first output, element by element. */
async function checkOutputs(
  files: Pick<Ports["files"], "open">,
  runtime: RuntimeProcess,
  input: FileRef,
  golden: ByteSource,
  tolerance: number,
  signal: AbortSignal,
): Promise<void> {
  const request = { inputs: [{ name: null, file: input }], normalise: null, batch: null }
  const feed = await openFeed(files, request, runtime.model.inputs)
  try {
    const header = await readNpyHeader(golden)
    const rows = npyRowCount(header)
    if (rows !== feed.rows)
      throw new AppError("INPUT_MISMATCH", `${rows} golden outputs for ${feed.rows} rows`)
    for (let row = 0; row < feed.rows; row += feed.batch) {
      const { outputs } = await runtime.infer(await feed.batchAt(row), signal)
      const wanted = await readNpyRows(golden, header, row, Math.min(row + feed.batch, feed.rows))
      const [got] = outputs
      if (got === undefined) throw new AppError("GATE_FAILED", "the model gave no output")
      const expected = Array.from<number | bigint, number>(wanted.data, Number)
      const values = toNumbers(got)
      const isOff = (value: number, index: number) =>
        !(Math.abs(value - (expected[index] ?? Number.NaN)) <= tolerance)
      const bad = values.length === expected.length ? values.findIndex(isOff) : 0
      if (bad >= 0) throw new AppError("GATE_FAILED", `output ${bad} of row ${row} is not the golden one`)
    }
  } finally {
    await feed.close()
  }
}

function inMemory(bytes: Uint8Array): OpenFile {
  return {
    ...sourceOf(bytes),
    number: -1,
    name: "the golden input",
    checkUnchanged: async () => {},
    close: async () => {},
  }
}
