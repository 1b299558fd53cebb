/** What the evidence of an enrolment proves. Each function is one check of docs/FORMAT.md, Enrolment; all throw what is wrong. */
import { createHash, createPublicKey, type KeyObject } from "node:crypto"
import { AppError } from "../../../contract/errors.ts"
import { parseRecipient } from "../../age/recipients.ts"
import { recipientPoint } from "../../age/recipient-point.ts"
import { isEqual, toHex } from "../../bytes/bytes.ts"
import { readAttestation } from "../attestation.ts"
import { readBundle } from "../bundle.ts"
import { readCertificate, type Certificate } from "../certificate.ts"
import { describeRefusal, judgeChain } from "../chain.ts"
import { attestationType, checkPredicateType, readStatement } from "../statement.ts"
import { checkAttestationKey, checkCertified } from "../tpm/attestation.ts"
import { makeCredential } from "../tpm/make-credential.ts"
import { ATTRIBUTE, readPublicArea, type PublicArea } from "../tpm/public-area.ts"
import { parseTrustedKeys } from "../trust.ts"
import { parseVerificationKey } from "../verification-key.ts"
import { parseAnswer, requestDigest, type EnrolmentAnswer, type EnrolmentRequest } from "./documents.ts"

/** What a desk believes about endorsement keys. */
export interface EndorsementTrust {
  /** Roots of TPM makers. */
  readonly roots: readonly Certificate[]
  /** Fingerprints of endorsement keys an operator approved: SHA-256 of the SPKI in DER, hex. */
  readonly approved: readonly string[]
}

/** Both keys of a request are P-256 keys, and in a TPM's case the keys the public areas speak of. */
export function checkRequestedKeys(request: EnrolmentRequest): void {
  const signingKey = parseVerificationKey(request.signingKeyPem).key
  parseRecipient(request.recipient)
  if (request.tpm === null) {
    if (request.provider === "tpm2") throw refused("the request speaks of a TPM and shows nothing of it")
    return
  }
  const areas = readAreas(request.tpm)
  if (!areas.signingKey.publicKey.equals(signingKey))
    throw refused("the signing key is not the one whose public area was sent")
  const point = recipientPoint(request.recipient)
  if (point === null || !isEqual(point, pointOf(areas.decryptionKey)))
    throw refused("the recipient is not the key whose public area was sent")
  checkAttestationKey(areas.attestationKey)
  // A restricted key would answer only for what its own TPM stored, and could not open grants at all.
  checkUse(areas.decryptionKey, "decrypt", "the decryption key")
  checkUse(areas.signingKey, "sign", "the signing key")
}

/** How the endorsement key is known. Throws ATTESTATION_REFUSED for one that is not, naming its fingerprint. */
export function judgeEndorsement(
  tpm: NonNullable<EnrolmentRequest["tpm"]>,
  trust: EndorsementTrust,
  at: Date,
): { readonly by: "certificate" | "approval"; readonly fingerprint: string; readonly reason: string } {
  const key = readPublicArea(tpm.endorsementKey)
  const fingerprint = keyFingerprint(key.publicKey)
  if (trust.approved.includes(fingerprint)) {
    return {
      by: "approval",
      fingerprint,
      reason: `an operator approved the endorsement key ${short(fingerprint)}`,
    }
  }
  const [leaf, ...issuers] = tpm.endorsementCertificates.map((der) => readEndorsementCertificate(der))
  if (leaf === undefined) {
    throw refused(`the TPM has no endorsement certificate, and its key ${fingerprint} is not approved`)
  }
  if (!leaf.publicKey.equals(key.publicKey))
    throw refused("the endorsement certificate belongs to another key")
  const verdict = judgeChain([leaf, ...issuers], trust.roots, at, "endorsement-key")
  if (verdict.kind === "refused") {
    throw refused(`${describeRefusal(verdict)}; the endorsement key is ${fingerprint}`)
  }
  return { by: "certificate", fingerprint, reason: "the endorsement certificate leads to a pinned root" }
}

/** The public areas a credential and the certified keys are judged by. */
function readAreas(tpm: NonNullable<EnrolmentRequest["tpm"]>): {
  readonly endorsementKey: PublicArea
  readonly attestationKey: PublicArea
  readonly signingKey: PublicArea
  readonly decryptionKey: PublicArea
} {
  return {
    endorsementKey: readPublicArea(tpm.endorsementKey),
    attestationKey: readPublicArea(tpm.attestationKey),
    signingKey: readPublicArea(tpm.signingKey),
    decryptionKey: readPublicArea(tpm.decryptionKey),
  }
}

/** The answer, signed by the request's own signing key and about this request. Throws SIGNATURE_* and ATTESTATION_*. */
export function readSignedAnswer(
  bundle: Uint8Array,
  requestFile: Uint8Array,
  request: EnrolmentRequest,
): EnrolmentAnswer {
  const trust = parseTrustedKeys([{ label: request.device, pem: request.signingKeyPem }])
  // Bare keys have no dates, so the time does not matter here.
  const { statement } = readAttestation(bundle, trust, new Date(0))
  checkPredicateType(statement, attestationType("enrolment"))
  const digest = requestDigest(requestFile)
  if (!statement.subjects.some((subject) => subject.digest["sha256"] === digest))
    throw refused("the answer is about another request")
  return parseAnswer(statement.predicate)
}

/** What a desk remembers of a challenge: nothing that would help anybody to answer it. */
export interface Expected {
  readonly id: string
  readonly nonce: Uint8Array
  /** SHA-256 of the token and of the credential's secret. */
  readonly tokenDigest: Uint8Array
  readonly secretDigest: Uint8Array | null
  readonly expiresAt: Date
}

/** The answer belongs to this challenge and came in time. */
export function checkFresh(answer: EnrolmentAnswer, expected: Expected, at: Date): void {
  if (answer.challenge !== expected.id || !isEqual(answer.nonce, expected.nonce))
    throw refused("the answer belongs to another challenge")
  if (!(at <= expected.expiresAt))
    throw refused(`the challenge was valid until ${expected.expiresAt.toISOString()}`)
}

/** Only the holder of the decryption key could read the token. */
export function checkPossession(answer: EnrolmentAnswer, expected: Expected): void {
  if (!isEqual(sha256(answer.token), expected.tokenDigest))
    throw refused("the device did not open what was encrypted to its key")
}

/** Only the TPM of the endorsement key, holding the attestation key, could give out the secret. */
export function checkActivated(answer: EnrolmentAnswer, expected: Expected): void {
  if (expected.secretDigest === null) return
  if (answer.activated === null || !isEqual(sha256(answer.activated), expected.secretDigest))
    throw refused("the attestation key is not in the TPM of the endorsement key")
}

/** Both keys were made in the TPM of the attestation key, cannot leave it, and were certified for this challenge. */
export function checkCertifiedKeys(
  answer: EnrolmentAnswer,
  tpm: NonNullable<EnrolmentRequest["tpm"]>,
  expected: Expected,
): void {
  if (answer.certified === null) throw refused("the TPM certified no key")
  const areas = readAreas(tpm)
  checkCertified(answer.certified.decryptionKey, areas.decryptionKey, areas.attestationKey, expected.nonce)
  checkCertified(answer.certified.signingKey, areas.signingKey, areas.attestationKey, expected.nonce)
}

/** The challenge an answer says it belongs to, before anything of it is believed. Throws as readBundle does. */
export function challengeOfAnswer(bundle: Uint8Array): string {
  return parseAnswer(readStatement(readBundle(bundle).envelope.payload).predicate).challenge
}

/** A secret wrapped for the TPM of the request, given out only beside its attestation key. */
export function credentialFor(
  tpm: NonNullable<EnrolmentRequest["tpm"]>,
  secret: Uint8Array,
): { readonly blob: Uint8Array<ArrayBuffer>; readonly secret: Uint8Array<ArrayBuffer> } {
  const areas = readAreas(tpm)
  const made = makeCredential(areas.endorsementKey, areas.attestationKey.name, secret)
  return { blob: Uint8Array.from(made.blob), secret: Uint8Array.from(made.secret) }
}

/** What an answer carries instead of the token: to whoever does not know the token it is worth nothing. */
export function proofOfToken(token: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    createHash("sha256").update("sealwright/enrolment/v1/token\0").update(token).digest(),
  )
}

/** SHA-256, as Expected keeps it. */
export function digestOf(bytes: Uint8Array): Uint8Array {
  return sha256(bytes)
}

/** Fingerprint of the key in a TPMT_PUBLIC. */
export function publicAreaFingerprint(area: Uint8Array): string {
  return keyFingerprint(readPublicArea(area).publicKey)
}

/** SPKI in PEM of an uncompressed P-256 point. */
export function pemOfPoint(point: Uint8Array): string {
  const coordinate = (at: number) => Buffer.from(point.subarray(at, at + 32)).toString("base64url")
  const jwk = { kty: "EC", crv: "P-256", x: coordinate(1), y: coordinate(33) }
  return createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "pem" }).toString()
}

/** SHA-256 of the SPKI in DER, hex: what `openssl pkey -pubin -outform DER | sha256sum` prints. */
export function keyFingerprint(key: KeyObject): string {
  return toHex(
    sha256(
      createPublicKey({ key: key.export({ format: "jwk" }), format: "jwk" }).export({
        type: "spki",
        format: "der",
      }),
    ),
  )
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest()
}

function readEndorsementCertificate(der: Uint8Array): Certificate {
  const certificate = readCertificate(der)
  if (certificate === null)
    throw new AppError("ATTESTATION_MALFORMED", "an endorsement certificate cannot be read")
  return certificate
}

function pointOf(area: PublicArea): Uint8Array {
  return area.kind === "ec" ? Buffer.concat([Buffer.of(4), area.x, area.y]) : new Uint8Array(0)
}

function checkUse(area: PublicArea, use: "sign" | "decrypt", what: string): void {
  const other = use === "sign" ? ATTRIBUTE.decrypt : ATTRIBUTE.sign
  const isRight =
    (area.attributes & ATTRIBUTE[use]) !== 0 && (area.attributes & (other | ATTRIBUTE.restricted)) === 0
  if (!isRight) throw refused(`${what} has other uses than to ${use}`)
}

function short(fingerprint: string): string {
  return `${fingerprint.slice(0, 16)}…`
}

function refused(message: string): AppError {
  return new AppError("ATTESTATION_REFUSED", message)
}
