/** Signing a model and reading such a signature: OpenSSF Model Signing v1.0. What is written: key method, whole files, SHA-256. */
import { AppError } from "../../contract/errors.ts"
import { readAttestation, signStatement } from "./attestation.ts"
import { quoted } from "./document.ts"
import type { Signer } from "./dsse.ts"
import { toManifestStatement, toModelManifest, type ModelManifest } from "./model-manifest.ts"
import { isModelFileName, sortByName } from "./model-resource.ts"
import { readStatement } from "./statement.ts"
import type { SignedBy, TrustedKeys } from "./trust.ts"

export interface HashedFile {
  /** Relative to the model's folder, `/` between folders; the file's own name for a single-file model. */
  readonly name: string
  /** Lower-case hex of SHA-256 over the whole file. */
  readonly sha256: string
}

/**
 * The statement about a model's files, as the bytes to sign. `files` are all files of the model: what is not given is
 * not signed, and the verifier will refuse it unless its default rules leave it out. Throws FILE_NOT_FOUND for a model
 * without files (6.1), FILE_NAME_UNSAFE for a name that a signature cannot hold, or that stands twice, and
 * SIGNATURE_MALFORMED for a digest that is none: what readModelSignature would refuse is not signed.
 */
export function toModelStatement(modelName: string, files: readonly HashedFile[]): Uint8Array<ArrayBuffer> {
  if (files.length === 0) throw new AppError("FILE_NOT_FOUND", "the model has no files to sign")
  const names = new Set<string>()
  for (const { name } of files) {
    if (!isModelFileName(name))
      throw new AppError("FILE_NAME_UNSAFE", `${quoted(name)} is not a plain relative file name`)
    if (names.has(name))
      throw new AppError("FILE_NAME_UNSAFE", `the model has two files named ${quoted(name)}`)
    names.add(name)
  }
  const statement = toManifestStatement({
    modelName,
    serialization: { method: "files", hash: "sha256", allowSymlinks: false, ignorePaths: [] },
    resources: sortByName(files).map(({ name, sha256 }) => ({
      path: name,
      range: null,
      algorithm: "sha256",
      digest: sha256,
    })),
  })
  toModelManifest(readStatement(statement))
  return statement
}

/** The signature file of a model: a Sigstore bundle over toModelStatement. */
export async function signModel(
  modelName: string,
  files: readonly HashedFile[],
  signer: Signer,
): Promise<Uint8Array<ArrayBuffer>> {
  return signStatement(toModelStatement(modelName, files), signer)
}

export interface ModelSignature {
  readonly signedBy: SignedBy
  readonly manifest: ModelManifest
}

/**
 * Reads a signature file after checking who signed it (8.1 to 8.3). The files are compared by checkModelFiles. Throws as
 * readAttestation and toModelManifest do.
 */
export function readModelSignature(bundleBytes: Uint8Array, trust: TrustedKeys, at: Date): ModelSignature {
  const { signedBy, statement } = readAttestation(bundleBytes, trust, at)
  return { signedBy, manifest: toModelManifest(statement) }
}
