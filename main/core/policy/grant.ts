/** The grant: what one device needs beside the package (docs/FORMAT.md 5). */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { concat, toUtf8 } from "../bytes/bytes.ts"
import { parseJson } from "../bytes/json.ts"
import { sourceOf } from "../bytes/source.ts"
import { readTar, TAR_END, tarHeader, tarPadding } from "../oci/tar.ts"
import { policySchema } from "./policy.ts"

/** Names inside the grant's archive. */
const DOCUMENT = "grant.json"
const IDENTITY = "identity.txt"
const MODEL_SIGNATURE = "model.sig"
const OVERLAY = "overlay.bin"
const GOLDEN_INPUT = "golden-input.npy"
const GOLDEN_OUTPUT = "golden-output.npy"

/** Largest array of golden values, bytes: a handful of rows. */
export const MAX_GOLDEN_BYTES = 4 << 20

/** Largest plaintext of a grant, bytes: an overlay of millions of weights fits. */
export const MAX_GRANT_BYTES = 256 << 20

const documentSchema = z.strictObject({
  version: z.literal(1),
  mode: z.enum(["individual", "fleet"]),
  /** The device's name at the desk that issued the grant. */
  device: z.string().min(1).max(64),
  /** Digest of the package manifest this grant is for. */
  package: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  model: z.strictObject({
    /** Root digest of the signed list of plaintext files, hex. */
    root: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  policy: policySchema,
  /** Largest difference of an output from the golden one; with it the grant holds the arrays. */
  golden: z.strictObject({ tolerance: z.number().nonnegative() }).optional(),
  issuedAt: z.iso.datetime(),
})

/** Rows (.npy) and what the model answers to them: how a device sees that a package works there (FORMAT 5.3). */
export interface Golden {
  readonly input: Uint8Array
  readonly output: Uint8Array
  readonly tolerance: number
}

export interface Grant {
  readonly document: Omit<z.infer<typeof documentSchema>, "golden">
  /** Fleet mode: the age identity that opens the payload, as text. A secret. */
  readonly releaseIdentity: string | null
  /** Fleet mode: the model signature over what this device will see. */
  readonly modelSignature: Uint8Array | null
  /** Fleet mode, when the payload is marked: what `OverlayWriter` wrote for this device. A secret; its owner wipes it. */
  readonly overlay: Uint8Array | null
  readonly golden: Golden | null
}

/** The plaintext of a grant: an archive, so that a person with `age` and `tar` can look into it. */
export function writeGrant(grant: Grant): Uint8Array {
  const { golden } = grant
  const document = {
    ...grant.document,
    ...(golden !== null && { golden: { tolerance: golden.tolerance } }),
  }
  const entries: [string, Uint8Array][] = [[DOCUMENT, toUtf8(`${JSON.stringify(document, null, 2)}\n`)]]
  if (grant.releaseIdentity !== null) entries.push([IDENTITY, toUtf8(`${grant.releaseIdentity}\n`)])
  if (grant.modelSignature !== null) entries.push([MODEL_SIGNATURE, grant.modelSignature])
  if (grant.overlay !== null) entries.push([OVERLAY, grant.overlay])
  if (golden !== null) entries.push([GOLDEN_INPUT, golden.input], [GOLDEN_OUTPUT, golden.output])
  return concat(
    ...entries.flatMap(([name, bytes]) => [tarHeader(name, bytes.length), bytes, tarPadding(bytes.length)]),
    TAR_END,
  )
}

/** Throws SEAL_MALFORMED for a grant that is not of version 1 or holds what its mode does not have. */
export async function readGrant(bytes: Uint8Array): Promise<Grant> {
  const entries = new Map<string, Uint8Array>()
  for (const { name, offset, size } of await readTar(sourceOf(bytes)))
    entries.set(name, bytes.subarray(offset, offset + size))
  const document = documentSchema.safeParse(parseJson(take(entries, DOCUMENT), "the grant"))
  if (!document.success) throw malformed(document.error.issues[0]?.message ?? "its form")
  const { golden, ...rest } = document.data
  const isFleet = rest.mode === "fleet"
  const grant = {
    document: rest,
    releaseIdentity: isFleet ? Buffer.from(take(entries, IDENTITY)).toString("latin1").trim() : null,
    // Copies: the caller wipes the archive.
    modelSignature: isFleet ? take(entries, MODEL_SIGNATURE).slice() : null,
    overlay: isFleet && entries.has(OVERLAY) ? take(entries, OVERLAY).slice() : null,
    golden:
      golden === undefined
        ? null
        : {
            tolerance: golden.tolerance,
            input: take(entries, GOLDEN_INPUT).slice(),
            output: take(entries, GOLDEN_OUTPUT).slice(),
          },
  }
  if (entries.size > 0) throw malformed("it holds more than its mode has")
  return grant
}

function take(entries: Map<string, Uint8Array>, name: string): Uint8Array {
  const bytes = entries.get(name)
  if (bytes === undefined) throw malformed(`${name} is missing`)
  entries.delete(name)
  return bytes
}

function malformed(reason: string): AppError {
  return new AppError("SEAL_MALFORMED", `the grant is not valid: ${reason}`)
}
