/** Files that go from a desk to signers and back: strict JSON of a known form, small enough to read whole. */
import type { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { SignRequest } from "../../contract/schema/trust.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { parseJson } from "../../core/bytes/json.ts"
import { readAll } from "../../core/bytes/source.ts"
import type { Ports } from "../ports.ts"
import { writeSmallFile } from "../small-file.ts"

/** A request holds a handful of metadata documents. */
const MAX_FILE_BYTES = 8 << 20

/** Throws REQUEST_MALFORMED. */
export async function readRequestFile<T>(ports: Ports, ref: FileRef, schema: z.ZodType<T>): Promise<T> {
  const file = await ports.files.open(ref)
  try {
    const malformed = (reason: string) => new AppError("REQUEST_MALFORMED", `${file.name} ${reason}`)
    const bytes = await readAll(file, MAX_FILE_BYTES, () => malformed("is too large"))
    let json: unknown
    try {
      json = parseJson(bytes, file.name)
    } catch (error) {
      throw new AppError("REQUEST_MALFORMED", `${file.name} is not strict JSON`, { cause: error })
    }
    const parsed = schema.safeParse(json)
    if (parsed.success) return parsed.data
    const issue = parsed.error.issues[0]
    throw malformed(`is not of the form expected: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`)
  } finally {
    await file.close()
  }
}

export async function writeRequestFile(
  ports: Ports,
  output: SignRequest["output"],
  document: object,
): Promise<void> {
  await writeSmallFile(ports, output, toUtf8(`${JSON.stringify(document, null, 2)}\n`))
}
