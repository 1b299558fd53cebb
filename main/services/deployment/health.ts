/** Whether a package works on this machine: it loads in a sealed runtime and, if arrays are given, computes what it should. */
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { Install } from "../../contract/schema/deployment.ts"
import { npyRowCount, readNpyHeader, readNpyRows } from "../../core/bytes/npy.ts"
import { openFeed } from "../feed.ts"
import type { Ports, RuntimeProcess } from "../ports.ts"
import { loadSealedModel } from "../sealed-model.ts"
import { toNumbers } from "../statistics.ts"

export async function checkHealth(
  ports: Ports,
  file: FileRef,
  { device, golden }: Install,
  signal: AbortSignal,
): Promise<void> {
  const { runtime } = await loadSealedModel(ports, { file, device, trust: null }, null, signal)
  try {
    if (golden !== null) await checkGolden(ports, runtime, golden, signal)
  } finally {
    await runtime.close()
  }
}

/** The first output, element by element. */
async function checkGolden(
  ports: Ports,
  runtime: RuntimeProcess,
  { input, output, tolerance }: NonNullable<Install["golden"]>,
  signal: AbortSignal,
): Promise<void> {
  const request = { inputs: [{ name: null, file: input }], normalise: null, batch: null }
  const feed = await openFeed(ports.files, request, runtime.model.inputs)
  const file = await ports.files.open(output)
  try {
    const header = await readNpyHeader(file)
    const rows = npyRowCount(header)
    if (rows !== feed.rows)
      throw new AppError("INPUT_MISMATCH", `${rows} golden outputs for ${feed.rows} rows`)
    for (let row = 0; row < feed.rows; row += feed.batch) {
      const { outputs } = await runtime.infer(await feed.batchAt(row), signal)
      const wanted = await readNpyRows(file, header, row, Math.min(feed.batch, feed.rows - row))
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
    await file.close()
    await feed.close()
  }
}
