/** Fitting arrays people have to the inputs a model wants, saying what was done. */
import { AppError } from "../contract/errors.ts"
import type { FileRef } from "../contract/schema/base.ts"
import type { Normalise } from "../contract/schema/run.ts"
import { fromFloat16, toFloat16 } from "../core/bytes/float16.ts"
import { npyRowCount, readNpyHeader, readNpyRows, type NpyHeader, type NpyRows } from "../core/bytes/npy.ts"
import type { Files, OpenFile, Tensor, ValueInfo } from "./ports.ts"

/** Rows of every input, ready to be sent batch by batch. */
export interface Feed {
  /** Rows in all, and in each call but perhaps the last. */
  readonly rows: number
  readonly batch: number
  /** What is done to the data to fit, in words. */
  readonly conversions: readonly string[]
  readonly names: readonly string[]
  batchAt(row: number): Promise<readonly Tensor[]>
  close(): Promise<void>
}

export interface FeedRequest {
  readonly inputs: readonly { readonly name: string | null; readonly file: FileRef }[]
  readonly normalise: Normalise | null
  readonly batch: number | null
}

/** Batch where the model leaves the size open and the user does too. */
const DEFAULT_BATCH = 32

/** Opens the arrays and matches them to the model's inputs. Throws INPUT_MISMATCH, NPY_MALFORMED, NPY_UNSUPPORTED. */
export async function openFeed(
  files: Pick<Files, "open">,
  request: FeedRequest,
  wanted: readonly ValueInfo[],
): Promise<Feed> {
  const opened: { readonly input: ValueInfo; readonly file: OpenFile; readonly header: NpyHeader }[] = []
  const close = async () => {
    await Promise.all(opened.map(async ({ file }) => file.close()))
  }
  try {
    for (const { name, file: ref } of request.inputs) {
      const input = findInput(wanted, name)
      if (opened.some((other) => other.input === input))
        throw mismatch(`two arrays for the input ${input.name}`)
      const file = await files.open(ref)
      opened.push({ input, file, header: await openHeader(file) })
    }
    const missing = wanted.filter((input) => !opened.some((other) => other.input === input))
    if (missing.length > 0)
      throw mismatch(`no array for the input ${missing.map(({ name }) => name).join(", ")}`)
    const plan = planBatches(opened, request.batch)
    const conversions = new Set<string>()
    for (const { input, header } of opened)
      for (const text of describeFit(input, header, plan.rows, request.normalise)) conversions.add(text)
    return {
      ...plan,
      conversions: [...conversions],
      names: opened.map(({ file }) => file.name),
      close,
      batchAt: async (row) =>
        Promise.all(
          opened.map(async ({ input, file, header }) => {
            const to = plan.isWhole ? npyRowCount(header) : Math.min(row + plan.batch, plan.rows)
            const rows = await readNpyRows(file, header, plan.isWhole ? 0 : row, to)
            return fit(input, rows, request.normalise)
          }),
        ),
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function openHeader(file: OpenFile): Promise<NpyHeader> {
  const header = await readNpyHeader(file)
  if (npyRowCount(header) === 0) throw mismatch(`${file.name} holds no rows`)
  return header
}

function findInput(wanted: readonly ValueInfo[], name: string | null): ValueInfo {
  const names = wanted.map((input) => input.name).join(", ")
  if (name === null && wanted.length > 1)
    throw mismatch(`the model has the inputs ${names}: say which one an array is for`)
  const found = name === null ? wanted[0] : wanted.find((input) => input.name === name)
  if (found === undefined) throw mismatch(`the model has no input ${name ?? ""}: it has ${names}`)
  return found
}

/** How rows become calls: as asked, as the model fixes it, or everything at once where inputs do not share a batch axis. */
function planBatches(
  opened: readonly { readonly input: ValueInfo; readonly header: NpyHeader }[],
  asked: number | null,
): { readonly rows: number; readonly batch: number; readonly isWhole: boolean } {
  const leading = opened.map(({ input }) => input.shape[0])
  const counts = opened.map(({ header }) => npyRowCount(header))
  const rows = counts[0] ?? 0
  const fixed = leading.find((size) => typeof size === "number")
  const isShared =
    counts.every((count) => count === rows) &&
    new Set(leading.map((size) => typeof size === "number")).size === 1
  if (!isShared || leading.includes(undefined)) return { rows: 1, batch: 1, isWhole: true }
  if (typeof fixed === "number") {
    if (asked !== null && asked !== fixed) throw mismatch(`the model takes batches of ${fixed} only`)
    if (rows % fixed !== 0)
      throw mismatch(`the model takes batches of ${fixed}, which ${rows} rows do not fill`)
    return { rows, batch: fixed, isWhole: false }
  }
  return { rows, batch: Math.min(asked ?? DEFAULT_BATCH, rows), isWhole: false }
}

function describeFit(
  input: ValueInfo,
  header: NpyHeader,
  rows: number,
  normalise: Normalise | null,
): readonly string[] {
  const out: string[] = []
  const shape = fitShape(input, header.shape, rows)
  if (shape.length !== header.shape.length) {
    out.push(`reshaped rows of ${shapeText(header.shape.slice(1))} to ${shapeText(shape.slice(1))}`)
  }
  if (normalise !== null) {
    const scaled = header.dtype === "uint8" ? "x/255" : "x"
    out.push(`normalised as (${scaled} - ${normalise.mean}) / ${normalise.std}`)
  }
  if (header.dtype !== input.type) out.push(`converted ${header.dtype} to ${input.type}`)
  checkConvertible(input, header.dtype, normalise)
  return out
}

function fit(input: ValueInfo, rows: NpyRows, normalise: Normalise | null): Tensor {
  const shape = fitShape(input, rows.shape, rows.shape[0] ?? 1)
  const data = normalise === null && rows.dtype === input.type ? rows.data : convert(input, rows, normalise)
  return {
    name: input.name,
    type: input.type,
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }
}

/** The array's shape as the model wants it: axes of size 1 may be added or left out, nothing else. */
function fitShape(input: ValueInfo, shape: readonly number[], rows: number): readonly number[] {
  const wanted = input.shape
  const fits = (candidate: readonly number[]) =>
    candidate.length === wanted.length &&
    candidate.every((size, axis) => axis === 0 || typeof wanted[axis] !== "number" || wanted[axis] === size)
  if (fits(shape)) return shape
  const inner = shape.slice(1).filter((size) => size !== 1)
  let next = 0
  const filled = wanted.map((size, axis) =>
    axis === 0 ? (shape[0] ?? rows) : size === 1 ? 1 : (inner[next++] ?? -1),
  )
  if (next === inner.length && fits(filled)) return filled
  throw mismatch(`the input ${input.name} has the shape ${shapeText(wanted)}, the array ${shapeText(shape)}`)
}

const FLOATS = new Set(["float16", "float32", "float64"])
const WHOLE = /^(u?int\d+|bool)$/

function checkConvertible(input: ValueInfo, dtype: string, normalise: Normalise | null): void {
  const toFloat = FLOATS.has(input.type)
  const isWidening = WHOLE.test(dtype) && input.type === "int64" && dtype !== "uint64"
  const isPossible = normalise === null ? dtype === input.type || toFloat || isWidening : toFloat
  if (!isPossible) throw mismatch(`the input ${input.name} is ${input.type}, the array ${dtype}`)
}

function convert(
  input: ValueInfo,
  rows: NpyRows,
  normalise: Normalise | null,
): ArrayBufferView & { readonly buffer: ArrayBufferLike } {
  if (input.type === "int64")
    return BigInt64Array.from(rows.data as ArrayLike<number>, (value) => BigInt(value)) // whole numbers below 64 bits, by checkConvertible
  const scale = rows.dtype === "uint8" ? 255 : 1
  const raw = rows.dtype === "float16" ? (x: number | bigint) => fromFloat16(Number(x)) : Number
  const value =
    normalise === null ? raw : (x: number | bigint) => (raw(x) / scale - normalise.mean) / normalise.std
  const source: ArrayLike<number | bigint> = rows.data
  if (input.type === "float64") return Float64Array.from(source, value)
  if (input.type === "float16") return Uint16Array.from(source, (x) => toFloat16(value(x)))
  return Float32Array.from(source, value)
}

function shapeText(shape: readonly (number | string | null)[]): string {
  return `[${shape.map((size) => size ?? "?").join(", ")}]`
}

function mismatch(reason: string): AppError {
  return new AppError("INPUT_MISMATCH", reason)
}
