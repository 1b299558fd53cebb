/** Opening a model with everything it consists of. */
import { AppError } from "../contract/errors.ts"
import type { FileRef } from "../contract/schema/base.ts"
import { readModelIndex, type ModelIndex } from "../core/onnx/model-index.ts"
import { checkExternalSizes, readExternalFiles } from "../core/onnx/external-files.ts"
import { MODEL_SIGNATURE_NAME } from "../core/oci/payload-archive.ts"
import type { Files, OpenFile } from "./ports.ts"

/** A model that is open: the ONNX file first, then its external data by name relative to it. */
export interface OpenModel {
  readonly index: ModelIndex
  readonly files: readonly { readonly name: string; readonly file: OpenFile }[]
  /** Length of all files, bytes. */
  readonly bytes: number
  close(): Promise<void>
}

/**
 * Opens and indexes a model. Throws the ONNX_ codes for a file that is not one, or whose external data is missing, short or
 * outside of its folder, before anything else is done with it.
 */
export async function openModel(files: Files, model: FileRef): Promise<OpenModel> {
  const opened: { name: string; file: OpenFile }[] = []
  const close = async () => {
    await Promise.all(opened.map(async ({ file }) => file.close()))
  }
  try {
    const main = await files.open(model)
    opened.push({ name: main.name, file: main })
    const index = await readModelIndex(main)
    const external = readExternalFiles(index)
    for (const { location } of external) {
      if (location === main.name || location === MODEL_SIGNATURE_NAME) {
        throw new AppError("ONNX_EXTERNAL_OUTSIDE", `external data may not be named ${location}`)
      }
      opened.push({ name: location, file: await files.openBeside(model, location) })
    }
    checkExternalSizes(external, new Map(opened.map(({ name, file }) => [name, file.size])))
    const bytes = opened.reduce((sum, { file }) => sum + file.size, 0)
    return { index, files: opened, bytes, close }
  } catch (error) {
    await close()
    throw error
  }
}
