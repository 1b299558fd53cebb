/** Who signed a plain model: a signature of OpenSSF Model Signing that lies beside it, judged by the keys this workspace trusts. */
import { AppError, toAppError } from "../contract/errors.ts"
import type { FileRef } from "../contract/schema/base.ts"
import type { ModelSummary } from "../contract/schema/inspect.ts"
import { checkModelFiles } from "../core/attest/model-files.ts"
import { readModelSignature } from "../core/attest/model-signing.ts"
import { SINGLE_FILE } from "../core/attest/model-resource.ts"
import { readAll } from "../core/bytes/source.ts"
import { MODEL_SIGNATURE_NAME } from "../core/oci/payload-archive.ts"
import type { OpenModel } from "./model-input.ts"
import { readTrust } from "./package-access.ts"
import type { OpenFile, Ports } from "./ports.ts"

/** Of a file, on every file system there is here: nothing lies under a longer one. */
const MAX_NAME_BYTES = 255
/** A signature lists files, not weights. */
const MAX_SIGNATURE_BYTES = 16 << 20

/**
 * Looks for the model's own name with `.sig` and for `model.sig`. The files of the model are compared with what was signed;
 * other files of a signed folder are not looked for. Nothing is thrown for a signature that is no good: the summary says so.
 */
export async function findModelSignature(
  ports: Ports,
  ref: FileRef,
  model: OpenModel,
): Promise<ModelSummary["signature"]> {
  // The one that is named after this model first: the other may be of a model it shares its folder with.
  for (const name of [`${model.files[0]?.name ?? ""}.sig`, MODEL_SIGNATURE_NAME]) {
    if (Buffer.byteLength(name) > MAX_NAME_BYTES) continue
    let file: OpenFile
    try {
      file = await ports.files.openBeside(ref, name)
    } catch (error) {
      const { code, message } = toAppError(error)
      if (NONE_THERE.has(code)) continue
      return { name, by: null, code, reason: message }
    }
    try {
      return { name, ...(await judge(ports, file, model)) }
    } finally {
      await file.close()
    }
  }
  return null
}

/** A link there, or a folder, is no signature either. */
const NONE_THERE: ReadonlySet<string> = new Set(["ONNX_EXTERNAL_MISSING", "ONNX_EXTERNAL_OUTSIDE"])

async function judge(
  ports: Ports,
  signature: OpenFile,
  model: OpenModel,
): Promise<Pick<NonNullable<ModelSummary["signature"]>, "by" | "code" | "reason">> {
  let by: string | null = null
  try {
    const bytes = await readAll(
      signature,
      MAX_SIGNATURE_BYTES,
      () => new AppError("SIGNATURE_MALFORMED", "the signature is larger than any list of files"),
    )
    const { signedBy, manifest } = readModelSignature(bytes, (await readTrust(ports, null)).keys, ports.now())
    by = signedBy.label
    const own = new Map(model.files.map(({ name, file }) => [name, file]))
    const { checked } = await checkModelFiles(
      {
        ...manifest,
        resources: manifest.resources.filter(({ path }) => path === SINGLE_FILE || own.has(path)),
      },
      model.files.map(({ name, file }) => ({ name, sizeBytes: file.size })),
      async (name, start, end, algorithm) => {
        const file = own.get(name)
        if (file === undefined || algorithm !== "sha256")
          throw new AppError("SIGNATURE_UNSUPPORTED", `digests of type ${algorithm} are not compared here`)
        return ports.payload.digest(file.number, start, end - start, QUIET)
      },
    )
    return {
      by,
      code: null,
      reason: `${checked.length} ${checked.length === 1 ? "file" : "files"} as signed`,
    }
  } catch (error) {
    const { code, message } = toAppError(error)
    return { by, code, reason: message }
  }
}

const QUIET = { signal: new AbortController().signal, progress: () => {} }
