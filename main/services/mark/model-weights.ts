/** A model's files as the mark sees them. */
import { AppError } from "../../contract/errors.ts"
import type { ByteSource } from "../../core/bytes/source.ts"
import type { ModelFiles } from "../../core/onnx/elements.ts"
import { readModelIndex, type ModelIndex } from "../../core/onnx/model-index.ts"
import type { Checksum } from "../../core/watermark/marker.ts"
import { measureOriginal, type OriginalTensor } from "../../core/watermark/original.ts"
import type { SkippedTensor } from "../../core/watermark/weights.ts"
import type { OpenModel } from "../model-input.ts"

/** Every tensor that can carry the mark, measured, and why the others cannot. */
export async function measureModel(
  model: OpenModel,
  signal?: AbortSignal,
): Promise<{
  readonly tensors: readonly OriginalTensor[]
  readonly skipped: readonly SkippedTensor[]
}> {
  const files = modelFiles(model, signal)
  return measureOriginal(await readModelIndex(files(null), { nodes: true }), files)
}

/** The files of an open model by external location; `null` is the ONNX file. Reading stops when the signal says so. */
export function modelFiles({ files }: OpenModel, signal?: AbortSignal): ModelFiles {
  return (location) => {
    const found: ByteSource | undefined =
      location === null ? files[0]?.file : files.slice(1).find(({ name }) => name === location)?.file
    if (found === undefined)
      throw new AppError("ONNX_EXTERNAL_MISSING", `${location ?? "the model"} is missing`)
    return signal === undefined ? found : stoppable(found, signal)
  }
}

function stoppable(source: ByteSource, signal: AbortSignal): ByteSource {
  return {
    size: source.size,
    read: async (offset, length) => {
      signal.throwIfAborted()
      return source.read(offset, length)
    },
  }
}

/** Locations of the files in the payload's order. */
export function locationsOf({ files }: OpenModel): readonly (string | null)[] {
  return files.map(({ name }, index) => (index === 0 ? null : name))
}

/** SHA-1 digits in the ONNX file that follow what external files hold; each place once. */
export function checksumsOf({ tensors }: Pick<ModelIndex, "tensors">): readonly Checksum[] {
  const byOffset = new Map<number, Checksum>()
  for (const { storage } of tensors) {
    if (storage.kind !== "external" || storage.checksum === null) continue
    const { offset } = storage.checksum
    byOffset.set(offset, { location: storage.location, offset })
  }
  return [...byOffset.values()]
}

/** In words what keeps a model's tensors from carrying a mark, most frequent first. */
export function summariseSkipped(skipped: readonly SkippedTensor[]): string {
  if (skipped.length === 0) return "it holds no weights outside of operator attributes"
  const counts = new Map<string, number>()
  for (const { why } of skipped) counts.set(why, (counts.get(why) ?? 0) + 1)
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 3)
    .map(([why, count]) => `${count}: ${why}`)
    .join("; ")
}
