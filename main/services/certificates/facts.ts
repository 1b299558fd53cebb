/** What a certificate or revocation list says, for people, and the files they come in. */
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { CertificateFacts, ShownCertificates } from "../../contract/schema/certificates.ts"
import type { Certificate } from "../../core/attest/certificate.ts"
import { readCertificateFile, type CertificateFile } from "../../core/attest/certificate-files.ts"
import { subjectOf } from "../../core/attest/chain.ts"
import { readAll } from "../../core/bytes/source.ts"
import type { Ports } from "../ports.ts"

/** Revocation lists of large authorities are some megabytes. */
const MAX_BYTES = 16 << 20

/** What a file says, unjudged. */
export async function showCertificates(ports: Ports, file: FileRef): Promise<ShownCertificates> {
  const { certificates, lists } = await readCertificates(ports, file)
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

export function factsOf(certificate: Certificate): CertificateFacts {
  const { x509, fingerprint, isAuthority } = certificate
  const uses = [
    ["issues certificates", isAuthority && certificate.mayIssue],
    ["signs", certificate.maySign],
    ["agrees on keys", certificate.mayAgree],
    ["receives keys", certificate.mayEncipher],
    ["revokes", isAuthority && certificate.mayRevoke],
  ] as const
  return {
    subject: subjectOf(certificate),
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

function keyText({
  asymmetricKeyType: type,
  asymmetricKeyDetails: details,
}: Certificate["publicKey"]): string {
  if (details?.namedCurve !== undefined)
    return details.namedCurve === "prime256v1" ? "P-256" : details.namedCurve
  return details?.modulusLength === undefined ? (type ?? "unknown") : `RSA ${details.modulusLength}`
}

/** Throws CERTIFICATE_MALFORMED, and what opening the file throws. */
export async function readCertificates(ports: Ports, ref: FileRef): Promise<CertificateFile> {
  const file = await ports.files.open(ref)
  try {
    const tooLarge = () => new AppError("CERTIFICATE_MALFORMED", `${file.name} is too large`)
    return readCertificateFile(await readAll(file, MAX_BYTES, tooLarge))
  } finally {
    await file.close()
  }
}
