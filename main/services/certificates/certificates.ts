/** Certificates people already have: shown, judged against roots and revocation lists, and asked for. */
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type {
  CertificateFacts,
  ImportKey,
  RequestCertificate,
  RequestedCertificate,
  ShownCertificates,
  VerifiedCertificate,
  VerifyCertificate,
} from "../../contract/schema/certificates.ts"
import type { Key } from "../../contract/schema/keys.ts"
import { readCertificate, type Certificate } from "../../core/attest/certificate.ts"
import { readCertificateFile, type CertificateFile } from "../../core/attest/certificate-files.ts"
import { toCertificatePem } from "../../core/attest/certificate-pem.ts"
import { createCertificateRequest } from "../../core/attest/certificate-request.ts"
import { describeRefusal, judgeChain, subjectOf } from "../../core/attest/chain.ts"
import { judgeRevocation } from "../../core/attest/revocation-list.ts"
import { parseTrustedKeys } from "../../core/attest/trust.ts"
import { readAll } from "../../core/bytes/source.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { Checklist } from "../checklist.ts"
import { writeSmallFile } from "../enrolment/files.ts"
import type { Ports } from "../ports.ts"

/** Revocation lists of large authorities are some megabytes. */
const MAX_BYTES = 16 << 20
/** Section of docs/FORMAT.md. */
const SECTION = "12.5"

/** What a file says, unjudged. */
export async function showCertificates(ports: Ports, file: FileRef): Promise<ShownCertificates> {
  const { certificates, lists } = await read(ports, file)
  return {
    certificates: certificates.map(factsOf),
    lists: lists.map((list) => ({
      issuer: list.issuer,
      thisUpdate: list.thisUpdate.toISOString(),
      nextUpdate: list.nextUpdate?.toISOString() ?? null,
      serials: list.entries.map(({ serialNumber }) => serialNumber),
    })),
  }
}

/** A request for a certificate of a signing key, PEM, for an authority outside. */
export async function requestCertificate(
  ports: Ports,
  { key: name, subject, output }: RequestCertificate,
): Promise<RequestedCertificate> {
  const key = await ports.keys.find(name, "signing")
  const signer = {
    publicKeyPem: () => key.publicKeyPem ?? "",
    sign: async (message: Uint8Array) => ports.keys.sign(key, message),
  }
  const pem = await createCertificateRequest(subject, signer)
  const file = await writeSmallFile(ports, output, toUtf8(pem))
  return { key: key.name, subject, file }
}

/** The key, and what the file says about it; its certificates go to `chain`. */
export async function importKey(
  ports: Ports,
  { name, file, passphrase, chain }: ImportKey,
): Promise<{ readonly key: Key; readonly certificates: CertificateFacts[] }> {
  const imported = await ports.keys.import({ name, file, passphrase })
  const certificates = imported.chain.flatMap((der) => readCertificate(der) ?? [])
  try {
    if (chain !== null)
      await writeSmallFile(ports, chain, toUtf8(imported.chain.map((der) => toCertificatePem(der)).join("")))
  } catch (error) {
    await ports.keys.remove(imported.key)
    throw error
  }
  return { key: imported.key, certificates: certificates.map(factsOf) }
}

/** Expired, not yet valid, of another use, of an unknown issuer, revoked: each has its own word in `problem`. */
export async function verifyCertificate(
  ports: Ports,
  wanted: VerifyCertificate,
): Promise<VerifiedCertificate> {
  const file = await read(ports, wanted.file)
  const [leaf, ...above] = file.certificates
  if (leaf === undefined) throw new AppError("CERTIFICATE_MALFORMED", "the file holds no certificate")
  const roots = parseTrustedKeys(await ports.trust.read(wanted.roots)).certificates
  const more = await Promise.all(wanted.lists.map(async (list) => (await read(ports, list)).lists))
  const lists = [...file.lists, ...more.flat()]
  const at = wanted.at === null ? ports.now() : new Date(wanted.at)
  const list = new Checklist()
  let problem: string | null = null
  const path = await list.check("chain", SECTION, "it leads to a trusted root", async () => {
    const verdict = judgeChain([leaf, ...above], roots, at, wanted.purpose)
    if (verdict.kind === "trusted") {
      const { certificates } = verdict.path
      return { reason: `${certificates.length} certificates, ${wanted.purpose}`, value: certificates }
    }
    problem = verdict.problem
    throw new AppError("SIGNER_UNTRUSTED", describeRefusal(verdict))
  })
  if (lists.length === 0)
    list.skip("revocation", SECTION, "it was not revoked", "no revocation list was given")
  else
    await list.check("revocation", SECTION, "it was not revoked", async () => {
      const verdict = await judgeRevocation(path ?? [], lists, at)
      if (verdict.kind === "good")
        return { reason: `${lists.length} lists, none names it or those above it`, value: true }
      problem = verdict.kind === "revoked" ? "revoked" : "revocation-unknown"
      throw new AppError("SIGNER_UNTRUSTED", describeRefusal(verdict))
    })
  return {
    verdict: list.hasFailed ? "refused" : "trusted",
    problem,
    checks: list.checks,
    path: (path ?? []).map(subjectText),
  }
}

function factsOf(certificate: Certificate): CertificateFacts {
  const { x509, fingerprint, isAuthority } = certificate
  const uses = [
    ["issues certificates", isAuthority && certificate.mayIssue],
    ["signs", certificate.maySign],
    ["agrees on keys", certificate.mayAgree],
    ["receives keys", certificate.mayEncipher],
    ["revokes", isAuthority && certificate.mayRevoke],
  ] as const
  return {
    subject: subjectText(certificate),
    issuer: x509.issuer.replaceAll("\n", ", "),
    serial: x509.serialNumber.toLowerCase(),
    fingerprint,
    key: keyText(certificate.publicKey),
    notBefore: x509.validFromDate.toISOString(),
    notAfter: x509.validToDate.toISOString(),
    isAuthority,
    uses: uses.flatMap(([use, is]) => (is ? [use] : [])),
  }
}

/** node:crypto puts each part of a name on a line. */
function subjectText(certificate: Certificate): string {
  return subjectOf(certificate).replaceAll("\n", ", ")
}

function keyText({
  asymmetricKeyType: type,
  asymmetricKeyDetails: details,
}: Certificate["publicKey"]): string {
  if (details?.namedCurve !== undefined)
    return details.namedCurve === "prime256v1" ? "P-256" : details.namedCurve
  return details?.modulusLength === undefined ? (type ?? "unknown") : `RSA ${details.modulusLength}`
}

async function read(ports: Ports, ref: FileRef): Promise<CertificateFile> {
  const file = await ports.files.open(ref)
  try {
    const tooLarge = () => new AppError("CERTIFICATE_MALFORMED", `${file.name} is too large`)
    return readCertificateFile(await readAll(file, MAX_BYTES, tooLarge))
  } finally {
    await file.close()
  }
}
