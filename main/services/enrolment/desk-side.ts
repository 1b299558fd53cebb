/** Enrolment at the desk: a request becomes a challenge, its answer becomes certificates and a known device. */
import { AppError } from "../../contract/errors.ts"
import type { Assurance } from "../../contract/schema/base.ts"
import type { Enrol, Enrolled } from "../../contract/schema/enrolment.ts"
import type { Device } from "../../contract/schema/keys.ts"
import { encryptBytes } from "../../core/age/file.ts"
import { recipientPoint } from "../../core/age/recipient-point.ts"
import { parseRecipient } from "../../core/age/recipients.ts"
import { toCertificatePem } from "../../core/attest/certificate-pem.ts"
import {
  kindOfEnrolment,
  readEnrolmentRequest,
  requestDigest,
  toEnrolmentBytes,
  type EnrolmentRequest,
} from "../../core/attest/enrolment/documents.ts"
import {
  challengeOfAnswer,
  checkActivated,
  checkCertifiedKeys,
  checkFresh,
  checkPossession,
  checkRequestedKeys,
  credentialFor,
  digestOf,
  judgeEndorsement,
  pemOfPoint,
  proofOfToken,
  readSignedAnswer,
  type Expected,
} from "../../core/attest/enrolment/judge.ts"
import { issueDeviceCertificate } from "../../core/attest/issue-certificate.ts"
import { parseTrustedKeys } from "../../core/attest/trust.ts"
import { toBase64, toHex, wipe } from "../../core/bytes/bytes.ts"
import { Checklist } from "../checklist.ts"
import type { PendingChallenge } from "../ports/enrolment.ts"
import type { Ports } from "../ports.ts"
import { newSerial, openAuthority, yearsAfter } from "./authority.ts"
import { writeSmallFile } from "../small-file.ts"
import { readSmallFile } from "./files.ts"

/** Section of docs/FORMAT.md all checks belong to. */
const SECTION = "13"
const DAY_MS = 86_400_000

/** Takes a request or an answer, whichever the file is. What does not hold is a verdict with every check named. */
export async function enrol(ports: Ports, wanted: Enrol): Promise<Enrolled> {
  const bytes = await readSmallFile(ports, wanted.file)
  return kindOfEnrolment(bytes) === "enrolment-request"
    ? challenge(ports, wanted, bytes)
    : certify(ports, wanted, bytes)
}

async function challenge(ports: Ports, wanted: Enrol, file: Uint8Array): Promise<Enrolled> {
  const request = readEnrolmentRequest(file)
  await checkNameIsFree(ports, request.device)
  const list = new Checklist()
  await list.check("keys", SECTION, "the request names usable keys", async () => {
    checkRequestedKeys(request)
    return { reason: `${request.recipient.slice(0, 16)}… and a P-256 signing key`, value: true }
  })
  const endorsed = await list.check("endorsement", SECTION, "the hardware is known", async () =>
    judgeHardware(ports, wanted, request),
  )
  if (endorsed === null) return { kind: "refused", device: request.device, checks: list.checks }
  const token = ports.random(32)
  const secret = ports.random(32)
  const nonce = Uint8Array.from(ports.random(32))
  try {
    const expiresAt = new Date(ports.now().getTime() + wanted.challengeDays * DAY_MS).toISOString()
    const pending: PendingChallenge = {
      id: toHex(ports.random(16)),
      request: file,
      nonce,
      tokenDigest: digestOf(proofOfToken(token)),
      secretDigest: request.tpm === null ? null : digestOf(secret),
      expiresAt,
      ...endorsed,
    }
    const document = toEnrolmentBytes({
      version: 1,
      kind: "enrolment-challenge",
      id: pending.id,
      device: request.device,
      request: requestDigest(file),
      nonce,
      token: Uint8Array.from(encryptBytes(token, [parseRecipient(request.recipient)], ports.random)),
      credential: request.tpm === null ? null : credentialFor(request.tpm, secret),
      expiresAt,
    })
    await ports.enrolments.addPending(pending)
    const name = await writeSmallFile(ports, wanted.output, document)
    return { kind: "challenged", device: request.device, checks: list.checks, expiresAt, file: name }
  } finally {
    wipe(token, secret)
  }
}

async function certify(ports: Ports, wanted: Enrol, answerFile: Uint8Array): Promise<Enrolled> {
  const id = challengeOfAnswer(answerFile)
  const pending = await ports.enrolments.findPending(id)
  if (pending === null)
    throw new AppError(
      "ATTESTATION_REFUSED",
      "the answer belongs to no challenge of this workspace, or it was used",
    )
  const request = readEnrolmentRequest(pending.request)
  await checkNameIsFree(ports, request.device)
  const expected: Expected = { ...pending, expiresAt: new Date(pending.expiresAt) }
  const list = new Checklist()
  const answer = await list.check("signature", SECTION, "the device signed the answer", async () => ({
    reason: "with the signing key of its request",
    value: readSignedAnswer(answerFile, pending.request, request),
  }))
  const check = async (name: string, title: string, reason: string, action: () => void) =>
    list.check(name, SECTION, title, async () => {
      action()
      return { reason, value: true }
    })
  const given = (): NonNullable<typeof answer> => {
    if (answer === null) throw new AppError("ATTESTATION_REFUSED", "there is no answer")
    return answer
  }
  await check("fresh", "the answer is to this challenge, in time", `before ${pending.expiresAt}`, () =>
    checkFresh(given(), expected, ports.now()),
  )
  await check("possession", "the device holds the decryption key", "it read what was encrypted to it", () =>
    checkPossession(given(), expected),
  )
  const { tpm } = request
  if (tpm !== null) {
    await check(
      "activation",
      "attestation and endorsement key share a TPM",
      "the credential was activated",
      () => checkActivated(given(), expected),
    )
    await check(
      "residence",
      "both keys live in that TPM and cannot leave it",
      "certified for this challenge",
      () => checkCertifiedKeys(given(), tpm, expected),
    )
  }
  if (list.hasFailed) return { kind: "refused", device: request.device, checks: list.checks }
  return issue(ports, wanted, request, pending, list)
}

async function issue(
  ports: Ports,
  wanted: Enrol,
  request: EnrolmentRequest,
  pending: PendingChallenge,
  list: Checklist,
): Promise<Enrolled> {
  const authority = await openAuthority(ports)
  const notBefore = ports.now()
  const validity = { notBefore, notAfter: yearsAfter(notBefore, wanted.certificateYears) }
  const serials = [newSerial(ports), newSerial(ports)] as const
  const fields = { device: request.device, hardwareId: request.hardwareId, validity }
  const signing = await issueDeviceCertificate(authority, {
    ...fields,
    usage: "signing",
    publicKeyPem: request.signingKeyPem,
    serial: serials[0],
  })
  const point = recipientPoint(request.recipient)
  const decryption =
    point === null
      ? null
      : await issueDeviceCertificate(authority, {
          ...fields,
          usage: "decryption",
          publicKeyPem: pemOfPoint(point),
          serial: serials[1],
        })
  const assurance = assuranceOf(request, pending)
  const recipient = parseRecipient(request.recipient)
  const device: Device = {
    name: request.device,
    recipient: recipient.text,
    recipientType: recipient.type,
    assurance,
    holdsKey: false,
    addedAt: notBefore.toISOString(),
    enrolment: {
      hardwareId: request.hardwareId,
      signingPem: toCertificatePem(signing),
      decryptionPem: decryption === null ? null : toCertificatePem(decryption),
      ...(request.tpm !== null && { attestationKey: toBase64(request.tpm.attestationKey) }),
      evidence: [pending.evidence, ...list.checks.map(({ title, reason }) => `${title}: ${reason}`)],
    },
  }
  const document = toEnrolmentBytes({
    version: 1,
    kind: "enrolment-certificates",
    device: device.name,
    assurance,
    authorityPem: toCertificatePem(authority.certificate),
    signingPem: toCertificatePem(signing),
    decryptionPem: decryption === null ? null : toCertificatePem(decryption),
  })
  // The file first: a device that is known but never got its certificates could not be enrolled again.
  const file = await writeSmallFile(ports, wanted.output, document)
  await ports.devices.add(device)
  await ports.enrolments.saveIssued({
    device: device.name,
    serials: decryption === null ? [serials[0]] : [...serials],
    revokedAt: null,
  })
  await ports.enrolments.removePending(pending.id)
  return { kind: "enrolled", device, checks: list.checks, notAfter: validity.notAfter.toISOString(), file }
}

/** Who vouches for the hardware. Throws ATTESTATION_REFUSED for a TPM nobody does, unless that was allowed. */
async function judgeHardware(
  ports: Ports,
  wanted: Enrol,
  request: EnrolmentRequest,
): Promise<{
  readonly reason: string
  readonly value: Pick<PendingChallenge, "endorsement" | "evidence">
}> {
  const none = (evidence: string) => ({ reason: evidence, value: { endorsement: "none", evidence } as const })
  if (request.tpm === null) {
    return none(
      request.provider === "pkcs11"
        ? "the device says its keys are in a token; nothing proves it"
        : "the device's keys are in software",
    )
  }
  const roots =
    wanted.roots === null ? [] : parseTrustedKeys(await ports.trust.read(wanted.roots)).certificates
  const approved = wanted.approve === null ? [] : [wanted.approve]
  try {
    const { by, reason } = judgeEndorsement(request.tpm, { roots, approved }, ports.now())
    return { reason, value: { endorsement: by, evidence: reason } }
  } catch (error) {
    const mayPass =
      wanted.allowUnattested && error instanceof AppError && error.code === "ATTESTATION_REFUSED"
    if (!mayPass) throw error
    return none(`a TPM nobody vouches for: ${error.message}`)
  }
}

function assuranceOf(request: EnrolmentRequest, { endorsement }: PendingChallenge): Assurance {
  if (request.tpm !== null) return endorsement === "none" ? "hardware" : "attested"
  return request.provider === "pkcs11" ? "hardware" : "software"
}

async function checkNameIsFree(ports: Ports, name: string): Promise<void> {
  const devices = await ports.devices.list()
  if (devices.some((device) => device.name === name))
    throw new AppError("DEVICE_EXISTS", `${name} exists already in this workspace`)
}
