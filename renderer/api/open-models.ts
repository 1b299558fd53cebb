/** Models this window opened, kept for reloads of the tab. References only: nothing of a model is stored here. */
import { z } from "zod"
import { fileRefSchema, type FileRef } from "../../main/contract/schema/base.ts"
import { Store } from "./store.ts"

const namedFileSchema = z.object({ file: fileRefSchema, name: z.string() })
const openModelSchema = z.object({
  file: fileRefSchema,
  name: z.string(),
  openedAt: z.number(),
  /** What it is measured on; remembered with the model. */
  data: namedFileSchema.nullable(),
  labels: namedFileSchema.nullable(),
  normalise: z.object({ mean: z.number(), std: z.number() }).nullable(),
})
export type OpenModel = z.infer<typeof openModelSchema>

const KEY = "sealwright-models"

export const openModels = new Store<readonly OpenModel[]>(readKept())
openModels.subscribe(() => sessionStorage.setItem(KEY, JSON.stringify(openModels.value)))

export function addModel(file: FileRef, name: string, rest: Partial<OpenModel> = {}): void {
  const model: OpenModel = {
    file,
    name,
    openedAt: Date.now(),
    data: null,
    labels: null,
    normalise: null,
    ...rest,
  }
  openModels.update((all) => [model, ...all.filter((each) => each.file !== file)])
}

export function changeModel(file: FileRef, part: Partial<OpenModel>): void {
  openModels.update((all) => all.map((each) => (each.file === file ? { ...each, ...part } : each)))
}

export function closeModel(file: FileRef): void {
  openModels.update((all) => all.filter((each) => each.file !== file))
}

function readKept(): readonly OpenModel[] {
  try {
    return z.array(openModelSchema).parse(JSON.parse(sessionStorage.getItem(KEY) ?? "[]"))
  } catch {
    return [] // from another version of this window
  }
}
