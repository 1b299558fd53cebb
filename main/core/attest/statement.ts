/** in-toto Statement v1: what is said (predicate) about which artifacts (subjects, by digest). */
import { z } from "zod"
import { toUtf8 } from "../bytes/bytes.ts"
import type { Json } from "../bytes/json.ts"
import { malformed, quoted, readDocument } from "./document.ts"

const STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

/** What Sealwright itself attests. */
export type AttestationName =
  "copy" | "grant" | "validation" | "approval" | "receipt" | "mark-commitment" | "enrolment"

/** Predicate type of one of our own attestations: a URN, because we own no domain to promise. */
export function attestationType(name: AttestationName): string {
  return `urn:sealwright:attestation:${name}:v1`
}

export type JsonObject = { readonly [key: string]: Json }

interface Subject {
  /** For people; empty when the signer gave none. Artifacts are matched by digest only (Statement v1, subject). */
  readonly name: string
  /** Algorithm → lower-case hex, at least one. */
  readonly digest: Readonly<Record<string, string>>
}

export interface Statement {
  /** At least one. */
  readonly subjects: readonly Subject[]
  readonly predicateType: string
  readonly predicate: JsonObject
}

/**
 * The statement as the bytes to sign: indented for people, or `compact` where there are many subjects. Throws
 * SIGNATURE_MALFORMED for a statement that readStatement would refuse.
 */
export function toStatementBytes(
  { subjects, predicateType, predicate }: Statement,
  layout: "indented" | "compact" = "indented",
): Uint8Array<ArrayBuffer> {
  const isCompact = layout === "compact"
  // A name is optional (Statement v1, ResourceDescriptor).
  const subject = isCompact
    ? subjects.map(({ name, digest }) => (name === "" ? { digest } : { name, digest }))
    : subjects
  const bytes = toUtf8(
    JSON.stringify({ _type: STATEMENT_TYPE, subject, predicateType, predicate }, null, isCompact ? 0 : 2),
  )
  readStatement(bytes)
  return bytes
}

/**
 * Reads a statement. Unknown fields are ignored, as in-toto asks of consumers (Parsing rules); an absent predicate is an
 * empty one. Throws SIGNATURE_MALFORMED. The caller checked the signature over these bytes before.
 */
export function readStatement(bytes: Uint8Array): Statement {
  const { subject, predicateType, predicate } = readDocument(bytes, "the statement", statementSchema)
  return { subjects: subject, predicateType, predicate }
}

/** Throws SIGNATURE_MALFORMED unless the statement is of this predicate type. */
export function checkPredicateType(statement: Statement, wanted: string): void {
  if (statement.predicateType !== wanted) {
    throw malformed(`the statement is of type ${quoted(statement.predicateType)}, not ${wanted}`)
  }
}

const MAX_SUBJECTS = 10_000
const MAX_TEXT = 4096

/** Hex characters by algorithm; other algorithms of in-toto's digest sets pass with any whole number of bytes. */
const DIGEST_LENGTH: ReadonlyMap<string, number> = new Map([
  ["sha256", 64],
  ["sha384", 96],
  ["sha512", 128],
])

const digestSet = z
  .record(z.string().min(1).max(64), z.string().regex(/^(?:[0-9a-f]{2}){1,128}$/, "not lower-case hex"))
  .refine((digests) => Object.keys(digests).length > 0, "no digest")
  .refine(
    (digests) =>
      Object.entries(digests).every(([name, hex]) => hex.length === (DIGEST_LENGTH.get(name) ?? hex.length)),
    "a digest of the wrong length",
  )

/** Passes the object through as parsed: the strict JSON reader made it, so it holds nothing but JSON. */
const jsonObject = z.custom<JsonObject>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  "not an object",
)

const statementSchema = z.object({
  _type: z.literal(STATEMENT_TYPE),
  subject: z
    .array(z.object({ name: z.string().max(MAX_TEXT).default(""), digest: digestSet }))
    .min(1)
    .max(MAX_SUBJECTS),
  predicateType: z.string().min(1).max(MAX_TEXT),
  predicate: jsonObject.default({}),
})
