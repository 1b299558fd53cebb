/** The plaintext of a payload: an archive of the model, its external data and their signature (docs/FORMAT.md 4.2). */
import { AppError } from "../../contract/errors.ts"
import type { ByteSource } from "../bytes/source.ts"
import { readTar, type TarEntry } from "./tar.ts"

/** The last entry: the OpenSSF Model Signing bundle over all the others. */
export const MODEL_SIGNATURE_NAME = "model.sig"
/** A signature names every file, so it is small. */
const MAX_MODEL_SIGNATURE_BYTES = 16 << 20

export interface PayloadArchive {
  /** The ONNX file. */
  readonly model: TarEntry
  /** Its external data. */
  readonly external: readonly TarEntry[]
  /** The signature; fleet payloads have none, since each device sees another plaintext. */
  readonly signature: TarEntry | null
}

/** Reads the table of contents. Throws SEAL_MALFORMED when the order is not model, external data, signature. */
export async function readPayloadArchive(plaintext: ByteSource): Promise<PayloadArchive> {
  const entries = await readTar(plaintext)
  const last = entries.at(-1)
  const signature = last?.name === MODEL_SIGNATURE_NAME ? last : null
  const [model, ...external] = signature === null ? entries : entries.slice(0, -1)
  if (model === undefined) throw new AppError("SEAL_MALFORMED", "the payload holds no model")
  if ([model, ...external].some(({ name }) => name === MODEL_SIGNATURE_NAME)) {
    throw new AppError("SEAL_MALFORMED", "the signature is not the last entry of the payload")
  }
  if (signature !== null && signature.size > MAX_MODEL_SIGNATURE_BYTES) {
    throw new AppError("SEAL_MALFORMED", "the signature in the payload is too large")
  }
  return { model, external, signature }
}
