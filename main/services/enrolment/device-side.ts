/** Enrolment on the device: keys and a request, the answer to a challenge, and the certificates that come back. */
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { Accepted, InitDevice, Initialised, Responded } from "../../contract/schema/enrolment.ts"
import type { Key } from "../../contract/schema/keys.ts"
import { decryptBytes } from "../../core/age/file.ts"
import { readCertificatePem } from "../../core/attest/certificate-pem.ts"
import { signStatement } from "../../core/attest/attestation.ts"
import {
  readEnrolmentCertificates,
  readEnrolmentChallenge,
  requestDigest,
  toAnswerPredicate,
  toEnrolmentBytes,
  type EnrolmentAnswer,
  type EnrolmentChallenge,
  type EnrolmentRequest,
} from "../../core/attest/enrolment/documents.ts"
import { proofOfToken, publicAreaFingerprint } from "../../core/attest/enrolment/judge.ts"
import { attestationType, toStatementBytes } from "../../core/attest/statement.ts"
import { wipe } from "../../core/bytes/bytes.ts"
import { addDevice } from "../devices.ts"
import type { Endorsement, EndorsementKind } from "../ports/attestor.ts"
import type { OwnRequest } from "../ports/enrolment.ts"
import type { Ports } from "../ports.ts"
import { writeSmallFile } from "../small-file.ts"
import { readSmallFile } from "./files.ts"

/**
 * Makes the device's keys and its request. Where something fails the keys made so far are removed again. Throws KEY_EXISTS,
 * DEVICE_EXISTS, OUTPUT_EXISTS and what the keys' provider refuses.
 */
export async function initDevice(ports: Ports, wanted: InitDevice): Promise<Initialised> {
  const { name, place } = wanted
  const made: Key[] = []
  const create = async (purpose: Key["purpose"]): Promise<Key> => {
    const key = await ports.keys.create({ name, purpose, algorithm: "P-256", place })
    made.push(key)
    return key
  }
  try {
    const decryption = await create("device")
    const signing = await create("signing")
    const tpm =
      place.provider === "tpm2"
        ? await describeTpm(ports, await create("attestation"), signing, decryption)
        : null
    const endorsementFingerprint = tpm === null ? null : publicAreaFingerprint(tpm.part.endorsementKey)
    const hardwareId = wanted.hardwareId ?? endorsementFingerprint ?? signing.fingerprint
    const request: EnrolmentRequest = {
      version: 1,
      kind: "enrolment-request",
      device: name,
      hardwareId,
      provider: place.provider,
      signingKeyPem: signing.publicKeyPem ?? "",
      recipient: decryption.recipient ?? "",
      tpm: tpm === null ? null : tpm.part,
      createdAt: ports.now().toISOString(),
    }
    const bytes = toEnrolmentBytes(request)
    const device = await addDevice(ports, { name, key: { kind: "key", name } })
    try {
      await ports.enrolments.saveOwn({ device: name, request: bytes, endorsementKind: tpm?.kind ?? null })
      const file = await writeSmallFile(ports, wanted.request, bytes)
      return {
        device,
        hardwareId,
        signingFingerprint: signing.fingerprint,
        endorsementFingerprint,
        hasEndorsementCertificate: (tpm?.part.endorsementCertificates.length ?? 0) > 0,
        file,
      }
    } catch (error) {
      await ports.devices.remove(name)
      throw error
    }
  } catch (error) {
    for (const key of made.toReversed()) await ports.keys.remove(key)
    throw error
  }
}

/** Throws ATTESTATION_REFUSED for a challenge to another request, POLICY_EXPIRED for one that is over. */
export async function respond(
  ports: Ports,
  request: {
    readonly challenge: FileRef
    readonly output: { readonly file: FileRef; readonly replace: boolean }
  },
): Promise<Responded> {
  const challenge = readEnrolmentChallenge(await readSmallFile(ports, request.challenge))
  const own = await ports.enrolments.findOwn(challenge.device)
  if (own === null || requestDigest(own.request) !== challenge.request)
    throw new AppError(
      "ATTESTATION_REFUSED",
      `the challenge is not for a request of ${challenge.device} made here`,
    )
  if (ports.now() > new Date(challenge.expiresAt))
    throw new AppError("POLICY_EXPIRED", `the challenge was valid until ${challenge.expiresAt}`)
  const signing = await ports.keys.find(challenge.device, "signing")
  const predicate = toAnswerPredicate({
    challenge: challenge.id,
    nonce: challenge.nonce,
    token: await openToken(ports, challenge),
    ...(await answerOfTpm(ports, own, challenge, signing)),
  })
  const subjects = [{ name: challenge.device, digest: { sha256: challenge.request } }]
  const statement = toStatementBytes({ subjects, predicateType: attestationType("enrolment"), predicate })
  const bundle = await signStatement(statement, {
    publicKeyPem: () => signing.publicKeyPem ?? "",
    sign: async (message) => ports.keys.sign(signing, message),
  })
  const file = await writeSmallFile(ports, request.output, bundle)
  return { device: challenge.device, expiresAt: challenge.expiresAt, file }
}

/** Keeps the certificates beside the keys they belong to. Throws ATTESTATION_REFUSED when they belong to others. */
export async function acceptCertificates(ports: Ports, file: FileRef): Promise<Accepted> {
  const given = readEnrolmentCertificates(await readSmallFile(ports, file))
  const signing = await ports.keys.find(given.device, "signing")
  const decryption = await ports.keys.find(given.device, "device")
  const leaf = readCertificatePem(given.signingPem)
  const pairs: readonly (readonly [Key, string | null])[] = [
    [signing, given.signingPem],
    [decryption, given.decryptionPem],
  ]
  const authority = readCertificatePem(given.authorityPem)
  for (const [key, pem] of pairs) {
    if (pem === null) continue
    const certificate = readCertificatePem(pem)
    if (certificate.publicKeyPem !== key.publicKeyPem || !certificate.isIssuedBy(authority))
      throw new AppError(
        "ATTESTATION_REFUSED",
        `a certificate does not belong to the keys of ${given.device}`,
      )
  }
  await ports.enrolments.saveCertificates(given.device, {
    authority: given.authorityPem,
    signing: given.signingPem,
    decryption: given.decryptionPem,
  })
  return {
    device: given.device,
    assurance: given.assurance,
    authority: authority.subject,
    notAfter: leaf.notAfter.toISOString(),
  }
}

/** The endorsement key with a certificate, if there is one: RSA first, which most makers certify. */
async function describeTpm(ports: Ports, attestation: Key, signing: Key, decryption: Key) {
  const kinds: readonly EndorsementKind[] = ["rsa-2048", "p-256"]
  let chosen: { readonly kind: EndorsementKind; readonly endorsement: Endorsement } | null = null
  for (const kind of kinds) {
    const endorsement = await ports.attestor.endorsement(kind, attestation)
    if (endorsement.certificate !== null || kind === "p-256") {
      chosen = { kind, endorsement }
      break
    }
  }
  if (chosen === null) throw new AppError("INTERNAL", "a TPM without endorsement keys")
  const { kind, endorsement } = chosen
  const area = async (key: Key) => Uint8Array.from(await ports.attestor.publicArea(key))
  const part = {
    endorsementKey: Uint8Array.from(endorsement.publicArea),
    endorsementCertificates:
      endorsement.certificate === null ? [] : [Uint8Array.from(endorsement.certificate)],
    attestationKey: await area(attestation),
    signingKey: await area(signing),
    decryptionKey: await area(decryption),
  }
  return { kind, part }
}

/** A proof that the token was read, and not the token: nobody may have files decrypted by calling them challenges. */
async function openToken(ports: Ports, challenge: EnrolmentChallenge): Promise<Uint8Array<ArrayBuffer>> {
  const identity = await ports.keys.identity(await ports.keys.find(challenge.device, "device"))
  const token = await decryptBytes(challenge.token, [identity])
  try {
    return proofOfToken(token)
  } finally {
    wipe(token)
  }
}

async function answerOfTpm(
  ports: Ports,
  own: OwnRequest,
  challenge: EnrolmentChallenge,
  signing: Key,
): Promise<Pick<EnrolmentAnswer, "activated" | "certified">> {
  if (challenge.credential === null || own.endorsementKind === null)
    return { activated: null, certified: null }
  const attestation = await ports.keys.find(challenge.device, "attestation")
  const device = await ports.keys.find(challenge.device, "device")
  const activated = await ports.attestor.activate(own.endorsementKind, attestation, challenge.credential)
  const certify = async (key: Key) => {
    const { attestation: bytes, signature } = await ports.attestor.certify(key, attestation, challenge.nonce)
    return { attestation: Uint8Array.from(bytes), signature: Uint8Array.from(signature) }
  }
  return {
    activated: Uint8Array.from(activated),
    certified: { signingKey: await certify(signing), decryptionKey: await certify(device) },
  }
}
