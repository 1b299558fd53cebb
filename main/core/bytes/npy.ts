import { DTYPES, MAGIC, malformed, parseNpyHeader, unsupported, type NpyDtype } from "./npy-header.ts"
import type { ByteSource } from "./source.ts"

/** What the header of a .npy file says. */
export interface NpyHeader {
  readonly dtype: NpyDtype
  /** Sizes in C order (the last one varies fastest); [] is a single value. */
  readonly shape: readonly number[]
  /** Position of the first value, and bytes of all values. */
  readonly dataOffset: number
  readonly dataBytes: number
}

/** Rows of an array, in the typed array that fits; float16 values are their 16 bits (see float16.ts). */
export type NpyRows = {
  [Dtype in NpyDtype]: {
    readonly dtype: Dtype
    /** The array's shape, with the number of these rows in front. */
    readonly shape: readonly number[]
    readonly data: InstanceType<(typeof DTYPES)[Dtype]["array"]>
  }
}[NpyDtype]

/**
 * Reads the header of a .npy file, format 1.0 to 3.0, and checks that the values fill the rest of the file exactly.
 * Throws NPY_MALFORMED, and NPY_UNSUPPORTED for what is valid but no plain little-endian array in C order.
 * Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
 */
export async function readNpyHeader(source: ByteSource): Promise<NpyHeader> {
  const { headerOffset, headerBytes } = await readPreamble(source)
  if (headerBytes > MAX_HEADER) throw malformed(`a header of ${headerBytes} bytes`)
  const dataOffset = headerOffset + headerBytes
  if (dataOffset > source.size) throw malformed(`it ends at byte ${source.size}, inside its header`)

  // Format 3.0 is UTF-8 for the field names of structured types. We take none of those, so bytes will do as letters.
  const text = Buffer.from(await source.read(headerOffset, headerBytes)).toString("latin1")
  const { dtype, shape } = parseNpyHeader(text)
  const dataBytes = count(shape) * DTYPES[dtype].array.BYTES_PER_ELEMENT
  if (!Number.isSafeInteger(dataBytes)) throw malformed("a shape of more than 2^53 bytes")
  if (dataBytes !== source.size - dataOffset)
    throw malformed(`${source.size - dataOffset} bytes of values where its shape needs ${dataBytes}`)
  return { dtype, shape, dataOffset, dataBytes }
}

/** Number of rows: the first size of the shape; a single value is one row. */
export function npyRowCount(header: NpyHeader): number {
  return header.shape[0] ?? 1
}

/**
 * Reads the rows `from` to `to` (exclusive) into memory, and nothing else. `source` and `header` must belong together.
 * Throws RangeError unless 0 ≤ from ≤ to ≤ rows.
 */
export async function readNpyRows(
  source: ByteSource,
  header: NpyHeader,
  from: number,
  to: number,
): Promise<NpyRows> {
  const rows = npyRowCount(header)
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to < from || to > rows)
    throw new RangeError(`rows ${from} to ${to} of ${rows}`)
  const { dtype, shape } = header
  const rowBytes = rows === 0 ? 0 : header.dataBytes / rows
  const view = await source.read(header.dataOffset + from * rowBytes, (to - from) * rowBytes)
  // Copied: the view may be reused, and a typed array needs an aligned start.
  const { buffer } = Uint8Array.from(view)
  const data = new DTYPES[dtype].array(buffer)
  return { dtype, shape: shape.length === 0 ? [] : [to - from, ...shape.slice(1)], data } as NpyRows // DTYPES pairs dtype and array
}

/** numpy's own limit: a longer header is an attack on its parser or a structured type. */
const MAX_HEADER = 10_000

async function readPreamble(source: ByteSource): Promise<{ headerOffset: number; headerBytes: number }> {
  const preamble = await source.read(0, Math.min(source.size, 12))
  if (MAGIC.some((byte, i) => preamble[i] !== byte)) throw malformed("it does not start with \\x93NUMPY")
  const [major, minor] = preamble.subarray(MAGIC.length)
  if (preamble.length < 12 || major === undefined) throw malformed(`it ends at byte ${source.size}`)
  if (major < 1 || major > 3 || minor !== 0) throw unsupported(`format ${major}.${minor}`)
  const view = new DataView(preamble.buffer, preamble.byteOffset, preamble.length)
  return major === 1
    ? { headerOffset: 10, headerBytes: view.getUint16(8, true) }
    : { headerOffset: 12, headerBytes: view.getUint32(8, true) }
}

function count(shape: readonly number[]): number {
  // Asked first: 0 x 2^40 x 2^40 is an empty array, not an overflow.
  return shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1)
}
