import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto"
import { describe, expect, it } from "vitest"
import { signStatement } from "../../../main/core/attest/attestation.ts"
import type { Signer } from "../../../main/core/attest/dsse.ts"
import {
  kindOfEnrolment,
  readEnrolmentCertificates,
  readEnrolmentChallenge,
  readEnrolmentRequest,
  requestDigest,
  toAnswerPredicate,
  toEnrolmentBytes,
  type EnrolmentAnswer,
  type EnrolmentRequest,
} from "../../../main/core/attest/enrolment/documents.ts"
import {
  checkActivated,
  checkFresh,
  checkPossession,
  checkRequestedKeys,
  keyFingerprint,
  readSignedAnswer,
  type Expected,
} from "../../../main/core/attest/enrolment/judge.ts"
import { attestationType, toStatementBytes } from "../../../main/core/attest/statement.ts"
import { p256TagRecipient } from "../../../main/core/age/p256tag.ts"
import { recipientPoint } from "../../../main/core/age/recipient-point.ts"

const at = new Date("2026-03-01T00:00:00Z")
const token = randomBytes(32)
const nonce = randomBytes(32)
const expected: Expected = {
  id: "0".repeat(32),
  nonce,
  tokenDigest: createHash("sha256").update(token).digest(),
  secretDigest: null,
  expiresAt: new Date("2026-03-02T00:00:00Z"),
}

describe("a request", () => {
  it("is read back as it was written", () => {
    const { request } = newRequest()
    const bytes = toEnrolmentBytes(request)
    expect(readEnrolmentRequest(bytes)).toEqual(request)
    expect(kindOfEnrolment(bytes)).toBe("enrolment-request")
    expect(kindOfEnrolment(Buffer.from("PK"))).toBeNull()
  })

  it("with a field too many, a field missing or of another kind is refused", async () => {
    const { request } = newRequest()
    for (const text of [
      JSON.stringify({ ...request, extra: 1 }),
      JSON.stringify({ ...request, device: "../press" }),
      JSON.stringify({ ...request, recipient: undefined }),
      JSON.stringify({ ...request, kind: "enrolment-challenge" }),
    ])
      await expect(() => readEnrolmentRequest(Buffer.from(text))).toFailWithCode("ATTESTATION_MALFORMED")
    await expect(() => readEnrolmentChallenge(toEnrolmentBytes(request))).toFailWithCode(
      "ATTESTATION_MALFORMED",
    )
    await expect(() => readEnrolmentCertificates(toEnrolmentBytes(request))).toFailWithCode(
      "ATTESTATION_MALFORMED",
    )
  })

  it("must name keys that exist, and show a TPM if it speaks of one", async () => {
    const { request } = newRequest()
    expect(() => checkRequestedKeys(request)).not.toThrow()
    await expect(() => checkRequestedKeys({ ...request, provider: "tpm2" })).toFailWithCode(
      "ATTESTATION_REFUSED",
    )
    await expect(() => checkRequestedKeys({ ...request, recipient: "age1nothing" })).toFailWithCode(
      "RECIPIENT_INVALID",
    )
    await expect(() => checkRequestedKeys({ ...request, signingKeyPem: "none" })).toFailWithCode(
      "KEY_UNREADABLE",
    )
  })
})

describe("an answer", () => {
  it("proves possession of both keys, for this challenge, in time", async () => {
    const { request, file, signer } = newRequest()
    const read = readSignedAnswer(await answer(file, signer), file, request)
    checkFresh(read, expected, at)
    checkPossession(read, expected)
    checkActivated(read, expected)
  })

  it("signed by another key, about another request or of another type is refused", async () => {
    const { request, file, signer } = newRequest()
    const stranger = newRequest()
    const refuse = async (
      bundle: Uint8Array,
      code: "SIGNER_UNTRUSTED" | "ATTESTATION_REFUSED" | "SIGNATURE_MALFORMED",
    ) => expect(() => readSignedAnswer(bundle, file, request)).toFailWithCode(code)
    await refuse(await answer(file, stranger.signer), "SIGNER_UNTRUSTED")
    await refuse(await answer(stranger.file, signer), "ATTESTATION_REFUSED")
    await refuse(await answer(file, signer, "receipt"), "SIGNATURE_MALFORMED")
  })

  it("that is late, old, or did not open the token is refused", async () => {
    const good: EnrolmentAnswer = { challenge: expected.id, nonce, token, activated: null, certified: null }
    const refuse = async (work: () => void) => expect(work).toFailWithCode("ATTESTATION_REFUSED")
    await refuse(() => checkFresh(good, expected, new Date("2026-03-02T00:00:01Z")))
    await refuse(() => checkFresh(good, expected, new Date(Number.NaN)))
    await refuse(() => checkFresh({ ...good, nonce: randomBytes(32) }, expected, at))
    await refuse(() => checkFresh({ ...good, challenge: "1".repeat(32) }, expected, at))
    await refuse(() => checkPossession({ ...good, token: randomBytes(32) }, expected))
    const withSecret = { ...expected, secretDigest: createHash("sha256").update("secret").digest() }
    await refuse(() => checkActivated(good, withSecret))
    await refuse(() => checkActivated({ ...good, activated: Buffer.from("other") }, withSecret))
    expect(() => checkActivated({ ...good, activated: Buffer.from("secret") }, withSecret)).not.toThrow()
  })
})

describe("a key's fingerprint", () => {
  it("is the digest of its SPKI, however the key was encoded", () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
    const der = publicKey.export({ type: "spki", format: "der" })
    expect(keyFingerprint(publicKey)).toBe(createHash("sha256").update(der).digest("hex"))
  })
})

function newRequest(): {
  readonly request: EnrolmentRequest
  readonly file: Uint8Array
  readonly signer: Signer
} {
  const signing = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const device = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const signingKeyPem = signing.publicKey.export({ type: "spki", format: "pem" }).toString()
  const { text } = p256TagRecipient(pointOf(device.publicKey))
  expect(recipientPoint(text)).toEqual(Uint8Array.from(pointOf(device.publicKey)))
  const request: EnrolmentRequest = {
    version: 1,
    kind: "enrolment-request",
    device: "press-07",
    hardwareId: "board-0017",
    provider: "software",
    signingKeyPem,
    recipient: text,
    tpm: null,
    createdAt: "2026-03-01T00:00:00Z",
  }
  const signer = {
    publicKeyPem: () => signingKeyPem,
    sign: async (message: Uint8Array) => sign("sha256", message, signing.privateKey),
  }
  return { request, file: toEnrolmentBytes(request), signer }
}

async function answer(
  file: Uint8Array,
  signer: Signer,
  type: "enrolment" | "receipt" = "enrolment",
): Promise<Uint8Array> {
  const predicate = toAnswerPredicate({
    challenge: expected.id,
    nonce,
    token,
    activated: null,
    certified: null,
  })
  const subjects = [{ name: "press-07", digest: { sha256: requestDigest(file) } }]
  return signStatement(
    toStatementBytes({ subjects, predicateType: attestationType(type), predicate }),
    signer,
  )
}

function pointOf(key: KeyObject): Buffer {
  return key.export({ type: "spki", format: "der" }).subarray(-65)
}
