/** Parts of one .seal file written into another, bytes unchanged and checked on the way. */
import { AppError } from "../contract/errors.ts"
import { Sha256 } from "../core/bytes/sha256.ts"
import { blobOf, bundleManifest, trustManifest, type Descriptor } from "../core/oci/manifest.ts"
import { MEDIA } from "../core/oci/media-types.ts"
import type { AttachedBundle, SealPart } from "../core/oci/seal-file.ts"
import type { JobControl, OpenFile, PendingFile } from "./ports.ts"
import type { SealWriter } from "./seal-writer.ts"

const STRETCH_BYTES = 1 << 20

/** A package or grant: layer, then manifest. Throws SEAL_DIGEST_MISMATCH when the layer is not what the manifest says. */
export async function copyPart(
  writer: SealWriter,
  output: PendingFile,
  source: OpenFile,
  part: SealPart,
  control: JobControl,
): Promise<void> {
  if (!writer.has(part.layer)) {
    const copied = await writer.stream(part.layer.mediaType, async ({ offset }) => {
      const hash = new Sha256()
      for (let done = 0; done < part.entry.size;) {
        control.signal.throwIfAborted()
        const length = Math.min(STRETCH_BYTES, part.entry.size - done)
        const bytes = await source.read(part.entry.offset + done, length)
        hash.update(bytes)
        await output.write(offset + done, bytes)
        done += length
        control.progress(done)
      }
      return { bytes: part.entry.size, digest: hash.digest() }
    })
    if (copied.digest !== part.layer.digest)
      throw new AppError(
        "SEAL_DIGEST_MISMATCH",
        `${part.layer.digest.slice(0, 19)}… does not have its content`,
      )
  }
  await writer.manifest(part.manifestBlob)
}

/** A bundle attached to `subject`. */
export async function attachBundle(
  writer: SealWriter,
  subject: Descriptor,
  { bytes, predicateType, createdAt }: Pick<AttachedBundle, "bytes" | "predicateType" | "createdAt">,
): Promise<void> {
  const blob = await writer.blob(blobOf(MEDIA.bundle, bytes))
  await writer.manifest(bundleManifest(subject, blob, predicateType, createdAt))
}

/** Trust metadata under its names. */
export async function addTrustDocuments(
  writer: SealWriter,
  documents: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  const layers = []
  for (const [name, bytes] of documents)
    layers.push({ name, blob: await writer.blob(blobOf(MEDIA.trustLayer, bytes)) })
  if (layers.length > 0) await writer.manifest(trustManifest(layers))
}
