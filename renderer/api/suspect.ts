/** What Trace is about to compare: the suspect and, if it is known, the model as it was before it was protected. */
import type { FileRef } from "../../main/contract/schema/base.ts"
import { Store } from "./store.ts"

export interface NamedFile {
  readonly file: FileRef
  readonly name: string
}

interface Suspicion {
  readonly suspect: NamedFile | null
  /** null: looked for beside the suspect, under the name the ledger has. */
  readonly original: NamedFile | null
}

export const suspicion = new Store<Suspicion>({ suspect: null, original: null })

/** The first file is the suspect; others of the same drop lie beside it, where its external data or the original is found. */
export function takeSuspect(files: readonly NamedFile[]): void {
  const suspect = files.find(({ name }) => /\.(onnx|ort)$/i.test(name)) ?? files[0]
  if (suspect === undefined) return
  suspicion.update(({ original }) => ({ suspect: { file: suspect.file, name: suspect.name }, original }))
}
