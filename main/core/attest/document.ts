/** How signed documents become typed values: strict JSON, then a schema, and one code when either does not fit. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseBase64 } from "../bytes/bytes.ts"
import { parseJson, type Json } from "../bytes/json.ts"

/** The document as the schema's value. Throws SIGNATURE_MALFORMED naming the first place that does not fit. */
export function readDocument<T>(bytes: Uint8Array, what: string, schema: z.ZodType<T>): T {
  return parseDocument(readStrictJson(bytes, what), what, schema)
}

/** The same for a part of a document that was read before. */
export function parseDocument<T>(json: Json, what: string, schema: z.ZodType<T>): T {
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const place = issue === undefined || issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`
  const reason = issue === undefined ? "it has another shape" : issue.message
  throw malformed(`${what} is not valid${place}: ${reason}`)
}

export function malformed(message: string): AppError {
  return new AppError("SIGNATURE_MALFORMED", message)
}

/** A stranger's text inside a message: short, and with control characters escaped. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text)
}

/**
 * Base64 of at least one byte. DSSE protocol, Protocol: verifiers take the standard and the URL-safe alphabet. Padding,
 * zero unused bits and one alphabet per text stay required.
 */
export const base64Bytes = z.string().transform((text, context) => {
  const bytes = /[-_]/.test(text) && /[+/]/.test(text) ? null : parseBase64(toStandardAlphabet(text))
  if (bytes !== null && bytes.length > 0) return bytes
  context.addIssue(bytes === null ? "not base64" : "empty")
  return z.NEVER
})

const MAX_QUOTED = 80

function readStrictJson(bytes: Uint8Array, what: string): Json {
  try {
    return parseJson(bytes, what)
  } catch (error) {
    // A signature whose text is not JSON is a signature that cannot be read; one code tells both.
    if (error instanceof AppError && error.code === "JSON_MALFORMED") {
      throw new AppError("SIGNATURE_MALFORMED", error.message, { cause: error })
    }
    throw error
  }
}

function toStandardAlphabet(text: string): string {
  return text.replaceAll("-", "+").replaceAll("_", "/")
}
