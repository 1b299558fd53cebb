/** Small packages and bundles for tests of registries, and writers that run as processes of their own. */
import { spawn } from "node:child_process"
import path from "node:path"
import { toUtf8 } from "../../main/core/bytes/bytes.ts"
import {
  blobOf,
  bundleManifest,
  packageManifest,
  type Blob,
  type Descriptor,
} from "../../main/core/oci/manifest.ts"
import { EMPTY_CONFIG, EMPTY_CONFIG_BYTES, MEDIA } from "../../main/core/oci/media-types.ts"
import type { Repository, RepositoryPlace } from "../../main/services/ports/registry.ts"
import { ROOT } from "./workspace.ts"

/** A place as a process of its own can be told. */
export type WriterPlace =
  Extract<RepositoryPlace, { readonly kind: "remote" }> | { readonly kind: "folder"; readonly folder: string }

/** Stores a package whose payload is `payload`, under `tag`. */
export async function putPackage(
  repository: Repository,
  payload: Uint8Array,
  tag: string | null,
): Promise<Blob> {
  const layer = blobOf(MEDIA.payloadLayer, payload)
  const manifest = packageManifest(layer.descriptor)
  await putEmptyConfig(repository)
  await repository.putBlob(layer.descriptor, { kind: "bytes", bytes: payload })
  await repository.putManifest(manifest, tag)
  return manifest
}

/** Attaches a bundle whose content is `text` to `subject`; returns the bundle's manifest. */
export async function attachBundle(
  repository: Repository,
  subject: Descriptor,
  text: string,
): Promise<Descriptor> {
  const bundle = blobOf(MEDIA.bundle, toUtf8(JSON.stringify({ text })))
  const manifest = bundleManifest(subject, bundle.descriptor, "urn:test", "2026-01-01T00:00:00.000Z")
  await putEmptyConfig(repository)
  await repository.putBlob(bundle.descriptor, { kind: "bytes", bytes: bundle.bytes })
  await repository.putManifest(manifest, null)
  return manifest.descriptor
}

async function putEmptyConfig(repository: Repository): Promise<void> {
  await repository.putBlob(EMPTY_CONFIG, { kind: "bytes", bytes: EMPTY_CONFIG_BYTES })
}

/** Digests that a writing process has reported, up to its end; it is killed after `killAfter` of them. */
export async function runWriter(
  place: WriterPlace,
  subject: Descriptor,
  writer: string,
  count: number,
  killAfter = Number.POSITIVE_INFINITY,
): Promise<readonly string[]> {
  const script = path.join(ROOT, "test", "support", "bundle-writer.ts")
  const child = spawn(
    process.execPath,
    [script, JSON.stringify(place), JSON.stringify(subject), writer, String(count)],
    { stdio: ["ignore", "pipe", "inherit"] },
  )
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text
    if (output.split("\n").length > killAfter) child.kill("SIGKILL")
  })
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", () => resolve(output.split("\n").slice(0, -1)))
  })
}
