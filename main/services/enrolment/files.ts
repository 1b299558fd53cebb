/** The small files an enrolment exchanges. */
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import { readAll } from "../../core/bytes/source.ts"
import type { Ports } from "../ports.ts"

/** Certificates of an endorsement key are some kilobytes. */
const MAX_BYTES = 256 << 10

/** Throws ATTESTATION_MALFORMED for a file too large to be one, and what opening it throws. */
export async function readSmallFile(ports: Ports, ref: FileRef): Promise<Uint8Array> {
  const file = await ports.files.open(ref)
  try {
    return await readAll(
      file,
      MAX_BYTES,
      () => new AppError("ATTESTATION_MALFORMED", `${file.name} is too large for an enrolment`),
    )
  } finally {
    await file.close()
  }
}
