/** Parts of one .seal file written into another, bytes unchanged and checked on the way. */
import { AppError } from "../contract/errors.ts"
import { grantsSaid, rangeOf } from "../core/attest/grant-statement.ts"
import { attestationType } from "../core/attest/statement.ts"
import { Sha256 } from "../core/bytes/sha256.ts"
import { blobOf, bundleManifest, trustManifest, type Descriptor } from "../core/oci/manifest.ts"
import { MEDIA } from "../core/oci/media-types.ts"
import type { AttachedBundle, SealPart } from "../core/oci/seal-file.ts"
import type { JobControl, OpenFile, PendingFile } from "./ports.ts"
import type { SealWriter } from "./seal-writer.ts"

const STRETCH_BYTES = 1 << 20

/**
 * Packages and grants, each layer followed by its manifest; `control` counts the bytes of all layers. Throws
 * SEAL_DIGEST_MISMATCH when a layer is not what its manifest says.
 */
export async function copyParts(
  writer: SealWriter,
  output: PendingFile,
  source: OpenFile,
  parts: readonly SealPart[],
  control: JobControl,
): Promise<void> {
  let before = 0
  for (const part of parts) {
    if (!writer.has(part.layer)) await copyLayer(writer, output, source, part, control, before)
    await writer.manifest(part.manifestBlob)
    before += part.layer.size
  }
}

async function copyLayer(
  writer: SealWriter,
  output: PendingFile,
  source: OpenFile,
  { layer, entry }: SealPart,
  control: JobControl,
  before: number,
): Promise<void> {
  const copied = await writer.stream(layer.mediaType, async ({ offset }) => {
    const hash = new Sha256()
    for (let done = 0; done < entry.size;) {
      control.signal.throwIfAborted()
      const length = Math.min(STRETCH_BYTES, entry.size - done)
      const bytes = await source.read(entry.offset + done, length)
      hash.update(bytes)
      await output.write(offset + done, bytes)
      done += length
      control.progress(before + done)
    }
    return { bytes: entry.size, digest: hash.digest() }
  })
  if (copied.digest !== layer.digest)
    throw new AppError("SEAL_DIGEST_MISMATCH", `${layer.digest.slice(0, 19)}… does not have its content`)
}

/** Bytes of the layers of these parts. */
export function layerBytes(parts: readonly SealPart[]): number {
  return parts.reduce((sum, { layer }) => sum + layer.size, 0)
}

/** Of the bundles of a file those about these parts; a statement about many grants goes along when one of them does. */
export async function attachBundles(
  writer: SealWriter,
  parts: readonly SealPart[],
  bundles: readonly AttachedBundle[],
): Promise<void> {
  const subjects = new Map(parts.map((part) => [part.digest, part.manifestBlob.descriptor]))
  for (const bundle of bundles) {
    const subject = subjects.get(bundle.subject)
    if (subject === undefined) continue
    const said = isGrantStatement(bundle) ? grantsSaid(bundle.bytes) : null
    if (said === null || [...said].some((digest) => subjects.has(digest)))
      await attachBundle(writer, subject, bundle)
  }
}

/** A bundle attached to `subject`. */
export async function attachBundle(
  writer: SealWriter,
  subject: Descriptor,
  bundle: Pick<AttachedBundle, "bytes" | "predicateType" | "createdAt">,
): Promise<void> {
  const { bytes, predicateType, createdAt } = bundle
  const blob = await writer.blob(blobOf(MEDIA.bundle, bytes))
  const said = isGrantStatement(bundle) ? grantsSaid(bytes) : null
  // What is attached to the grant itself needs no further hint.
  const range = said === null || said.has(subject.digest) ? {} : rangeOf(said)
  await writer.manifest(bundleManifest(subject, blob, predicateType, createdAt, range))
}

function isGrantStatement({ predicateType }: Pick<AttachedBundle, "predicateType">): boolean {
  return predicateType === attestationType("grant")
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
