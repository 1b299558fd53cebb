/** The original a suspect is compared with, and the plan the ledger has for it. */
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import { readModelIndex } from "../../core/onnx/model-index.ts"
import type { PlanEntry } from "../../core/watermark/ledger.ts"
import { measureOriginal } from "../../core/watermark/original.ts"
import type { ReadableModel } from "../../core/watermark/trace.ts"
import type { OpenLedger } from "../ledger/open-ledger.ts"
import { modelFiles } from "../mark/model-weights.ts"
import { openModel, type OpenModel } from "../model-input.ts"
import type { Ports } from "../ports.ts"

/** An open model with its graph. */
export interface OpenReadable extends ReadableModel {
  readonly model: OpenModel
}

/** Reading it stops when the signal says so. */
export async function openReadable(ports: Ports, file: FileRef, signal?: AbortSignal): Promise<OpenReadable> {
  const model = await openModel(ports.files, file)
  try {
    const files = modelFiles(model, signal)
    return { model, files, graph: await readModelIndex(files(null), { nodes: true }) }
  } catch (error) {
    await model.close()
    throw error
  }
}

/**
 * The plan for an original: the one whose tensors are all in it, by content. Throws MARK_UNKNOWN when the ledger has none,
 * as when it is another owner's.
 */
export async function planFor(ledger: OpenLedger, original: ReadableModel): Promise<PlanEntry> {
  const { tensors } = await measureOriginal(original.graph, original.files)
  const present = new Set(tensors.map(({ hash }) => hash))
  const [entry] = [...ledger.state.plans.values()]
    .filter(({ plan }) => plan.tensors.every(({ hash }) => present.has(hash)))
    .sort((a, b) => b.plan.tensors.length - a.plan.tensors.length)
  if (entry === undefined)
    throw new AppError("MARK_UNKNOWN", "the ledger of this workspace holds no mark of that original")
  return entry
}

/**
 * Looks beside the suspect for a model under a name the ledger has, and takes the first whose weights are those of its plan.
 * Throws MARK_ORIGINAL_MISSING.
 */
export async function findOriginal(ports: Ports, ledger: OpenLedger, suspect: FileRef): Promise<FileRef> {
  const names = new Set([...ledger.state.plans.values()].map(({ model }) => model))
  for (const name of names) {
    const ref = ports.files.beside(suspect, name)
    const original = await openIfThere(ports, ref)
    if (original === null) continue
    try {
      await planFor(ledger, original)
      return ref
    } catch (error) {
      if (!(error instanceof AppError && error.code === "MARK_UNKNOWN")) throw error
    } finally {
      await original.model.close()
    }
  }
  throw new AppError(
    "MARK_ORIGINAL_MISSING",
    names.size === 0
      ? "the ledger of this workspace holds no model"
      : "the original is not beside the suspect",
  )
}

async function openIfThere(ports: Ports, ref: FileRef): Promise<OpenReadable | null> {
  try {
    return await openReadable(ports, ref)
  } catch (error) {
    if (error instanceof AppError && error.exitCode !== 1) return null // not there, or no model
    throw error
  }
}
