import { AppError } from "../../contract/errors.ts"
import type { ExternalStorage } from "./external-data.ts"
import type { TensorEntry } from "./walk.ts"

/** A file beside the model that holds values of its tensors. */
export interface ExternalFile {
  /** Path relative to the model's folder, checked by `checkExternalLocation`. */
  readonly location: string
  /** By offset. Ranges may overlap, as when tensors share their values. */
  readonly ranges: readonly ExternalRange[]
  /** Length the file must have at least, bytes. */
  readonly minimumBytes: number
}

interface ExternalRange {
  readonly tensor: TensorEntry
  /** Bytes in the external file. */
  readonly offset: number
  readonly length: number
}

/** The external files of a model, by location, with what the model uses of each. */
export function readExternalFiles(index: {
  readonly tensors: readonly TensorEntry[]
}): readonly ExternalFile[] {
  const ranges = index.tensors.flatMap((tensor) => {
    const { storage } = tensor
    return storage.kind === "external" ? [{ tensor, storage }] : []
  })
  const byLocation = Map.groupBy(ranges, ({ storage }) => storage.location)
  return [...byLocation]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([location, uses]) => toFile(location, uses))
}

/**
 * Checks that every external file is there and long enough. `sizes` gives the length in bytes of each file by location;
 * a location without a size is a file that does not exist. Throws ONNX_EXTERNAL_MISSING, ONNX_EXTERNAL_SHORT.
 */
export function checkExternalSizes(files: readonly ExternalFile[], sizes: ReadonlyMap<string, number>): void {
  for (const { location, minimumBytes } of files) {
    const size = sizes.get(location)
    if (size === undefined) {
      throw new AppError("ONNX_EXTERNAL_MISSING", `the external data file ${location} is missing`)
    }
    if (size < minimumBytes) {
      throw new AppError(
        "ONNX_EXTERNAL_SHORT",
        `the external data file ${location} has ${size} bytes, the model needs ${minimumBytes}`,
      )
    }
  }
}

function toFile(
  location: string,
  uses: readonly { readonly tensor: TensorEntry; readonly storage: ExternalStorage }[],
): ExternalFile {
  const ranges = uses
    .map(({ tensor, storage }) => ({ tensor, offset: storage.offset, length: storage.length }))
    .sort((a, b) => a.offset - b.offset || a.length - b.length)
  const minimumBytes = ranges.reduce((end, { offset, length }) => Math.max(end, offset + length), 0)
  return { location, ranges, minimumBytes }
}
