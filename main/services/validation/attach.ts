/** Attaching a signed statement to a package in a .seal file: the file is written anew and takes the old one's place. */
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import { signStatement } from "../../core/attest/attestation.ts"
import {
  attestationType,
  toStatementBytes,
  type AttestationName,
  type JsonObject,
} from "../../core/attest/statement.ts"
import {
  blobOf,
  bundleManifest,
  parseIndex,
  parseManifest,
  type Descriptor,
} from "../../core/oci/manifest.ts"
import { MEDIA } from "../../core/oci/media-types.ts"
import { readSealFile } from "../../core/oci/seal-file.ts"
import { readTar, type TarEntry } from "../../core/oci/tar.ts"
import type { JobContext } from "../jobs.ts"
import type { OpenFile, PendingFile, Ports } from "../ports.ts"
import { SealWriter } from "../seal-writer.ts"
import { chooseSigningKey } from "../signing.ts"

const COPY_BYTES = 1 << 20

/** Throws SEAL_INCOMPLETE when the package is not in the file, and what signing and writing throw. */
export async function attachStatement(
  ports: Ports,
  seal: FileRef,
  packageDigest: string,
  statement: { readonly name: AttestationName; readonly predicate: JsonObject; readonly createdAt: string },
  signingKey: string | null,
  job: JobContext,
): Promise<{ readonly signedBy: string; readonly fingerprint: string }> {
  const { key, signer } = await chooseSigningKey(ports, signingKey)
  const file = await ports.files.open(seal)
  try {
    const contents = await readSealFile(file)
    const part = contents.packages.find(({ digest }) => digest === packageDigest)
    if (part === undefined) throw new AppError("SEAL_INCOMPLETE", "the package is not in the file any more")
    const output = await ports.files.create(seal, { replace: true, isSecret: false })
    try {
      const writer = new SealWriter(output)
      const manifests = await copyParts(writer, file, output, job)
      const subject = manifests.find(({ digest }) => digest === packageDigest)
      if (subject === undefined)
        throw new AppError("SEAL_INCOMPLETE", "the package is not in the index of the file")
      const predicateType = attestationType(statement.name)
      const bytes = toStatementBytes({
        subjects: [{ name: "", digest: { sha256: packageDigest.slice("sha256:".length) } }],
        predicateType,
        predicate: statement.predicate,
      })
      const bundle = await writer.blob(blobOf(MEDIA.bundle, await signStatement(bytes, signer)))
      await writer.manifest(bundleManifest(subject, bundle, predicateType, statement.createdAt))
      await writer.finish()
      await file.checkUnchanged()
      job.signal.throwIfAborted()
      await output.commit()
      return { signedBy: key.name, fingerprint: key.fingerprint }
    } finally {
      await output.discard()
    }
  } finally {
    await file.close()
  }
}

/** Everything the file lists, layers first, as it was. The file was read and checked before. */
async function copyParts(
  writer: SealWriter,
  file: OpenFile,
  output: PendingFile,
  job: JobContext,
): Promise<readonly Descriptor[]> {
  const entries = new Map((await readTar(file)).map((entry) => [entry.name, entry]))
  const find = (name: string): TarEntry => {
    const entry = entries.get(name)
    if (entry === undefined) throw new AppError("SEAL_INCOMPLETE", `${name.slice(0, 100)} is missing`)
    return entry
  }
  const read = async (entry: TarEntry) => file.read(entry.offset, entry.size)
  const blobEntry = ({ digest }: Descriptor) => find(`blobs/sha256/${digest.slice("sha256:".length)}`)
  const [top] = parseIndex(await read(find("index.json")), "index.json").manifests
  if (top === undefined) throw new AppError("SEAL_MALFORMED", "index.json is empty")
  const { manifests } = parseIndex(await read(blobEntry(top)), "the seal index")
  const parts = await Promise.all(
    manifests.map(async (descriptor) => {
      const bytes = await read(blobEntry(descriptor))
      return { descriptor, bytes, layers: parseManifest(bytes).layers }
    }),
  )
  const layers = parts.flatMap((part) => part.layers)
  const control = job.step(
    "attach",
    layers.reduce((sum, { size }) => sum + size, 0),
  )
  let done = 0
  for (const layer of layers) {
    const target = await writer.reserve(layer)
    if (target === null) continue
    const { offset, size } = blobEntry(layer)
    for (let at = 0; at < size; at += COPY_BYTES) {
      job.signal.throwIfAborted()
      const bytes = await file.read(offset + at, Math.min(COPY_BYTES, size - at))
      await output.write(target.offset + at, bytes)
      done += bytes.length
      control.progress(done)
    }
  }
  for (const { descriptor, bytes } of parts) await writer.manifest({ descriptor, bytes })
  return manifests
}
