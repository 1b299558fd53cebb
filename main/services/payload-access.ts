/** Opening the payload of a granted package, and judging what was inside. */
import { AppError } from "../contract/errors.ts"
import { checkModelFiles } from "../core/attest/model-files.ts"
import { readModelSignature } from "../core/attest/model-signing.ts"
import type { TrustedKeys } from "../core/attest/trust.ts"
import { toHex } from "../core/bytes/bytes.ts"
import { readOverlay } from "../core/watermark/overlay.ts"
import { OverlayApplier } from "../core/watermark/overlay-apply.ts"
import { readPayloadArchive, type PayloadArchive } from "../core/oci/payload-archive.ts"
import type { TarEntry } from "../core/oci/tar.ts"
import type { JobContext } from "./jobs.ts"
import { modelRoot } from "./model-root.ts"
import type { GrantedPackage } from "./package-access.ts"
import type { OpenedPart, OpenFile, Ports } from "./ports.ts"

/** A payload after one pass over it. */
export interface OpenedPayload {
  /** SHA-256 of the age file. */
  readonly digest: Uint8Array
  readonly archive: PayloadArchive
  /** SHA-256 of the model and its external data, in the archive's order. */
  readonly fileDigests: readonly Uint8Array[]
  readonly modelSignature: Uint8Array
}

/**
 * Opens a payload in one pass: authenticates every chunk, hashes ciphertext and files, and hands plaintext to `targets` (by
 * entry; `null` keeps it nowhere). The order of the archive is read first, from single chunks.
 */
export async function openPayload(
  ports: Ports,
  file: OpenFile,
  granted: GrantedPackage,
  targets: ((entry: TarEntry, isModel: boolean) => Promise<OpenedPart["target"]>) | null,
  job: JobContext,
): Promise<OpenedPayload> {
  const { payload, part } = granted
  const sealed = {
    file: file.number,
    chunksOffset: part.entry.offset + payload.chunksOffset,
    chunksBytes: payload.chunksBytes,
    key: payload.key,
  }
  const reader = await ports.payload.reader(sealed)
  try {
    const archive = await readPayloadArchive(reader)
    const modelSignature =
      granted.grant.modelSignature ??
      (archive.signature === null
        ? new Uint8Array(0)
        : Uint8Array.from(await reader.read(archive.signature.offset, archive.signature.size)))
    const parts: OpenedPart[] = []
    for (const entry of [archive.model, ...archive.external]) {
      const target = (await targets?.(entry, entry === archive.model)) ?? null
      parts.push({ offset: entry.offset, length: entry.size, target, digest: true })
    }
    const overlay = overlayOver(granted, archive)
    const { digest, partDigests } = await ports.payload.decrypt(
      {
        ...sealed,
        offset: part.entry.offset,
        parts,
        digest: true,
        ...(overlay === null
          ? {}
          : { transform: (offset: number, plain: Uint8Array) => overlay.apply(offset, plain) }),
      },
      job.step("decrypt", payload.plainBytes),
    )
    overlay?.finish()
    if (digest === null) throw new AppError("INTERNAL", "the payload engine gave no digest")
    return { digest, archive, fileDigests: partDigests, modelSignature }
  } finally {
    reader.close()
  }
}

/** What the grant lays over the payload, if it does. */
function overlayOver({ grant }: GrantedPackage, { model, external }: PayloadArchive): OverlayApplier | null {
  return grant.overlay === null ? null : new OverlayApplier(readOverlay(grant.overlay), [model, ...external])
}

/** Throws unless the files are exactly those a trusted key signed and the grant promises. Returns the signer's label. */
export async function checkModel(
  payload: OpenedPayload,
  granted: GrantedPackage,
  trust: TrustedKeys,
  now: Date,
): Promise<string> {
  if (payload.modelSignature.length === 0)
    throw new AppError("SIGNATURE_MISSING", "the payload holds no model signature")
  const { signedBy, manifest } = readModelSignature(payload.modelSignature, trust, now)
  const entries = [payload.archive.model, ...payload.archive.external]
  const digests = new Map(
    entries.map(({ name }, index) => [name, payload.fileDigests[index] ?? new Uint8Array(0)]),
  )
  const files = entries.map(({ name, size }) => ({ name, sizeBytes: size }))
  if (manifest.serialization.method !== "files" || manifest.serialization.ignorePaths.length > 0) {
    throw new AppError("SIGNATURE_MISMATCH", "the model signature leaves files out or lists parts of files")
  }
  await checkModelFiles(manifest, files, async (name) => digests.get(name) ?? new Uint8Array(0))
  const root = modelRoot(
    entries.map(({ name }) => ({ name, sha256: toHex(digests.get(name) ?? new Uint8Array(0)) })),
  )
  if (root !== granted.grant.document.model.root) {
    throw new AppError("SIGNATURE_MISMATCH", "the model in the payload is not the one the grant is for")
  }
  return signedBy.label
}
