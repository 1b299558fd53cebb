/**
 * What the reference implementation of model signing writes, where it differs from the specification and from us: shards
 * in numeric order under `<hash>-sharded-<size>`, and "." for the one file of a single-file model.
 */
import { createHash } from "node:crypto"
import type { ModelManifest, Serialization } from "../../main/core/attest/model-manifest.ts"
import { sortByName, type ModelResource } from "../../main/core/attest/model-resource.ts"
import { folderOf, type ModelFolder } from "./model-folder.ts"

export interface ReferenceModel {
  readonly name: string
  readonly files: ModelFolder
}

/** The inputs of the goldens, as test/vectors/model-signing/SOURCE.txt describes them. */
export const REFERENCE_MODELS: ReadonlyMap<string, ReferenceModel> = new Map(
  Object.entries({
    sample_model_file: { name: "file_model", files: folderOf({ ".": "This is a simple model" }) },
    empty_model_file: { name: "empty_file_model", files: folderOf({ ".": "" }) },
    sample_model_folder: { name: "sample_model", files: folderOf(sampleFolder()) },
    empty_model_folder: { name: "empty_folder_model", files: folderOf({}) },
    model_folder_with_empty_file: { name: "empty_file_inside_model", files: folderOf({ empty_file: "" }) },
    deep_model_folder: { name: "deep_model", files: folderOf(deepFolder()) },
    symlink_model_folder: {
      name: "symlink_model",
      files: folderOf({ symlink_file: "This is a simple model" }),
    },
  }),
)

/** The manifest of a model as the reference makes it; `shardSize` is `null` for whole files. */
export function referenceManifest(model: ReferenceModel, shardSize: number | null): ModelManifest {
  const common = { hash: "sha256", allowSymlinks: true, ignorePaths: [] } as const
  const serialization: Serialization =
    shardSize === null ? { ...common, method: "files" } : { ...common, method: "shards", shardSize }
  const files = sortByName([...model.files].map(([name, bytes]) => ({ name, bytes })))
  const resources = files.flatMap(({ name, bytes }) =>
    shardSize === null ? [wholeFile(name, bytes)] : shardsOf(name, bytes, shardSize),
  )
  return { modelName: model.name, serialization, resources }
}

function wholeFile(path: string, bytes: Uint8Array): ModelResource {
  return { path, range: null, algorithm: "sha256", digest: sha256(bytes) }
}

function shardsOf(path: string, bytes: Uint8Array, shardSize: number): readonly ModelResource[] {
  const shards: ModelResource[] = []
  for (let start = 0; start < bytes.length; start += shardSize) {
    const end = Math.min(start + shardSize, bytes.length)
    const digest = sha256(bytes.subarray(start, end))
    shards.push({ path, range: { start, end }, algorithm: `sha256-sharded-${shardSize}`, digest })
  }
  return shards
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}

function sampleFolder(): Record<string, string> {
  const files: Record<string, string> = {}
  for (const i of [0, 1]) {
    for (const j of [0, 1, 2]) files[`d${i}/f${i}${j}`] = `This is file f${i}${j} in d${i}.`
  }
  for (const i of [0, 1, 2, 3]) files[`f${i}`] = `This is file f${i} in root.`
  return files
}

function deepFolder(): Record<string, string> {
  const files: Record<string, string> = {}
  for (const i of [0, 1, 2, 3]) files[`d0/d1/d2/d3/d4/f${i}`] = `This is file f${i}.`
  return files
}
