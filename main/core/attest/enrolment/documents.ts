/**
 * The files of an enrolment (docs/FORMAT.md, Enrolment): a device's request, the desk's challenge, what the device's
 * signed answer says, and the certificates it gets. They may travel on a stick; none of them holds a secret of the device.
 */
import { createHash } from "node:crypto"
import { z } from "zod"
import { AppError } from "../../../contract/errors.ts"
import { toBase64, toHex, toUtf8 } from "../../bytes/bytes.ts"
import { parseJson } from "../../bytes/json.ts"
import { base64Bytes } from "../document.ts"

const nameText = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/)
const challengeId = z.string().regex(/^[0-9a-f]{32}$/)

const tpmSchema = z.strictObject({
  /** The endorsement key, TPMT_PUBLIC, and its certificate with what it was issued by, DER, leaf first. */
  endorsementKey: base64Bytes,
  endorsementCertificates: z.array(base64Bytes).max(8),
  /** Public areas (TPMT_PUBLIC) of the keys that are to be certified, and of the key that certifies them. */
  attestationKey: base64Bytes,
  signingKey: base64Bytes,
  decryptionKey: base64Bytes,
})

const requestSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal("enrolment-request"),
  device: nameText,
  /** What names the hardware: a serial number, or the fingerprint of its endorsement key. */
  hardwareId: z.string().min(1).max(64),
  /** What the device says about where its keys live: a claim. */
  provider: z.enum(["software", "keyring", "tpm2", "pkcs11"]),
  /** SPKI in PEM, P-256. */
  signingKeyPem: z.string().max(1024),
  recipient: z.string().max(4096),
  tpm: tpmSchema.nullable(),
  createdAt: z.iso.datetime(),
})
export type EnrolmentRequest = z.infer<typeof requestSchema>

const challengeSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal("enrolment-challenge"),
  id: challengeId,
  device: nameText,
  /** SHA-256 of the request's file, hex. */
  request: sha256Hex,
  /** Qualifying data for what the TPM certifies, 32 bytes. */
  nonce: base64Bytes,
  /** An age file to the device's recipient; its plaintext comes back. */
  token: base64Bytes,
  credential: z.strictObject({ blob: base64Bytes, secret: base64Bytes }).nullable(),
  expiresAt: z.iso.datetime(),
})
export type EnrolmentChallenge = z.infer<typeof challengeSchema>

const certifiedSchema = z.strictObject({ attestation: base64Bytes, signature: base64Bytes })

/** Predicate of the device's signed answer. */
const answerSchema = z.strictObject({
  challenge: challengeId,
  nonce: base64Bytes,
  token: base64Bytes,
  /** What TPM2_ActivateCredential gave out. */
  activated: base64Bytes.nullable(),
  certified: z.strictObject({ signingKey: certifiedSchema, decryptionKey: certifiedSchema }).nullable(),
})
export type EnrolmentAnswer = z.infer<typeof answerSchema>

const certificatesSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal("enrolment-certificates"),
  device: nameText,
  assurance: z.enum(["software", "hardware", "attested"]),
  authorityPem: z.string().max(8192),
  signingPem: z.string().max(8192),
  /** `null` for a device key that is not P-256: such keys get no certificate. */
  decryptionPem: z.string().max(8192).nullable(),
})
export type EnrolmentCertificates = z.infer<typeof certificatesSchema>

/** A typed document as the bytes of its file; byte strings become base64. */
export function toEnrolmentBytes(
  document: EnrolmentRequest | EnrolmentChallenge | EnrolmentCertificates,
): Uint8Array<ArrayBuffer> {
  return toUtf8(`${JSON.stringify(withBase64(document), null, 2)}\n`)
}

/** The answer as the predicate of a statement. */
export function toAnswerPredicate(answer: EnrolmentAnswer): { readonly [name: string]: JsonValue } {
  return withBase64Object(answer)
}

/** Each throws ATTESTATION_MALFORMED for bytes that are not such a document. */
export function readEnrolmentRequest(bytes: Uint8Array): EnrolmentRequest {
  return read(bytes, requestSchema, "the request")
}

export function readEnrolmentChallenge(bytes: Uint8Array): EnrolmentChallenge {
  return read(bytes, challengeSchema, "the challenge")
}

export function readEnrolmentCertificates(bytes: Uint8Array): EnrolmentCertificates {
  return read(bytes, certificatesSchema, "the certificates")
}

export function parseAnswer(predicate: unknown): EnrolmentAnswer {
  return parse(predicate, answerSchema, "the answer")
}

/** `kind` of a document, or `null`: how a dropped file is told apart without judging it. */
export function kindOfEnrolment(bytes: Uint8Array): string | null {
  try {
    const parsed = z.object({ kind: z.string() }).safeParse(parseJson(bytes, "the file"))
    return parsed.success ? parsed.data.kind : null
  } catch {
    return null
  }
}

/** SHA-256 of a request's file, by which challenge and answer refer to it, hex. */
export function requestDigest(requestFile: Uint8Array): string {
  return toHex(createHash("sha256").update(requestFile).digest())
}

type JsonValue =
  string | number | boolean | null | readonly JsonValue[] | { readonly [name: string]: JsonValue }
type Writable =
  Uint8Array | string | number | boolean | null | readonly Writable[] | { readonly [name: string]: Writable }

function withBase64(value: Writable): JsonValue {
  if (value instanceof Uint8Array) return toBase64(value)
  if (Array.isArray(value)) return value.map(withBase64)
  return typeof value === "object" && value !== null
    ? withBase64Object(value as { readonly [name: string]: Writable })
    : value
}

function withBase64Object(value: { readonly [name: string]: Writable }): {
  readonly [name: string]: JsonValue
} {
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withBase64(item)]))
}

function read<T>(bytes: Uint8Array, schema: z.ZodType<T>, what: string): T {
  return parse(parseJson(bytes, what), schema, what)
}

function parse<T>(value: unknown, schema: z.ZodType<T>, what: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const place = issue === undefined || issue.path.length === 0 ? "its form" : issue.path.join(".")
  throw new AppError("ATTESTATION_MALFORMED", `${what} is not valid at ${place}`)
}
