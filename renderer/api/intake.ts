/**
 * What happens to files that are dropped or chosen: a model opens Models (or becomes the suspect, on Trace), a package opens
 * Packages, a file of an enrolment goes on with it, arrays become test data.
 */
import { AppError } from "../../main/contract/errors.ts"
import type { FileRef } from "../../main/contract/schema/base.ts"
import { connection } from "./connection.ts"
import { enrolmentFile } from "./enrolment-file.ts"
import { toFailure, type Failure } from "./failure.ts"
import { sendFiles, type SentFile } from "./files.ts"
import { addModel, changeModel, openModels } from "./open-models.ts"
import { queries, queryClient, refresh } from "./queries.ts"
import { go, type Route } from "./router.ts"
import { Store } from "./store.ts"
import { takeSuspect } from "./suspect.ts"

export interface Intake {
  readonly name: string
  readonly bytes: number
  readonly sent: number
  readonly failure: Failure | null
  readonly cancel: () => void
}

/** The files on their way, or why the last ones did not arrive. */
export const intake = new Store<Intake | null>(null)

export async function takeFiles(files: readonly File[], route: Route): Promise<void> {
  await bringIn(files, async (sent) => settle(sent, route))
}

/** Brings files in and hands them on. What goes wrong on the way, or in `use`, is shown where files arrive. */
export async function bringIn(
  files: readonly File[],
  use: (sent: readonly SentFile[]) => Promise<void> | void,
): Promise<void> {
  if (files.length === 0) return
  const abort = new AbortController()
  const bytes = files.reduce((sum, { size }) => sum + size, 0)
  const name = files.length === 1 ? (files[0]?.name ?? "") : `${files.length} files`
  intake.set({ name, bytes, sent: 0, failure: null, cancel: () => abort.abort() })
  try {
    const sent = await sendFiles(files, {
      signal: abort.signal,
      onProgress: (done) => intake.update((now) => (now === null ? null : { ...now, sent: done })),
    })
    await use(sent)
    intake.set(null)
  } catch (error) {
    const failure = toFailure(error)
    intake.update((now) => (now === null || failure.code === "CANCELLED" ? null : { ...now, failure }))
  }
}

/** Files the user opened outside the window: they need no way to the engine any more. */
export async function takeOpened(files: readonly SentFile[], route: Route): Promise<void> {
  await connection.whenOpen()
  try {
    await settle(files, route)
  } catch (error) {
    const name = files[0]?.name ?? ""
    intake.set({ name, bytes: 0, sent: 0, failure: toFailure(error), cancel: () => intake.set(null) })
  }
}

export function dismissIntake(): void {
  intake.set(null)
}

/** The sample that comes with the product, with the data it is measured on. */
export async function openSample(): Promise<void> {
  const sample = await queryClient.fetchQuery(queries.sample)
  addModel(sample.model, sample.modelName, {
    data: { file: sample.data, name: sample.dataName },
    labels: { file: sample.labels, name: sample.labelsName },
    normalise: sample.normalise,
  })
  go("models", sample.model)
}

async function settle(sent: readonly SentFile[], route: Route): Promise<void> {
  const arrays = sent.filter(({ name }) => name.toLowerCase().endsWith(".npy"))
  const enrolling = sent.find(({ name }) => /\.(request|challenge|response|certificates)$/i.test(name))
  if (enrolling !== undefined) {
    enrolmentFile.set(enrolling)
    go("devices")
    return
  }
  const main =
    sent.find(({ name }) => /\.(onnx|ort)$/i.test(name)) ??
    sent.find(({ name }) => /\.(seal|tar)$/i.test(name)) ??
    sent.find((file) => !arrays.includes(file))
  if (main === undefined) {
    attachData(arrays, route.file)
    return
  }
  // Its content decides, whatever it is called.
  const summary = await queryClient.fetchQuery(queries.summary(main.file))
  if (summary.kind === "package") {
    const entry = await connection.client.library.remember({ file: main.file })
    await refresh("packages")
    go("packages", entry.file)
    return
  }
  if (route.screen === "trace") {
    takeSuspect(sent.filter((file) => !arrays.includes(file)))
    return
  }
  addModel(main.file, main.name)
  if (arrays.length > 0) attachData(arrays, main.file)
  go("models", main.file)
}

/** Arrays belong to the model in sight, or else to the newest. Labels are told from inputs by their name. */
function attachData(arrays: readonly SentFile[], file: FileRef | null): void {
  const model = openModels.value.find((each) => each.file === file) ?? openModels.value[0]
  if (model === undefined)
    throw new AppError("USAGE", "test data needs a model: open the model first, then drop the arrays again")
  for (const array of arrays) {
    const isLabels = /(^|[-_.])(y|labels?|targets?)([-_.]|$)/i.test(array.name)
    const named = { file: array.file, name: array.name }
    changeModel(model.file, isLabels ? { labels: named } : { data: named })
  }
}
