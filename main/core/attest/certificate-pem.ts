/** One certificate as PEM, for comparing it with keys and issuers that are known. */
import { createPublicKey, X509Certificate } from "node:crypto"
import { AppError } from "../../contract/errors.ts"

export interface PemCertificate {
  readonly subject: string
  /** SPKI in PEM. */
  readonly publicKeyPem: string
  readonly notAfter: Date
  isIssuedBy(issuer: PemCertificate): boolean
  readonly x509: X509Certificate
}

/** Throws CERTIFICATE_MALFORMED. */
export function readCertificatePem(pem: string): PemCertificate {
  const x509 = decode(pem)
  return {
    x509,
    subject: x509.subject,
    publicKeyPem: createPublicKey({ key: x509.publicKey.export({ format: "jwk" }), format: "jwk" })
      .export({ type: "spki", format: "pem" })
      .toString(),
    notAfter: x509.validToDate,
    isIssuedBy: (issuer) => x509.checkIssued(issuer.x509) && x509.verify(issuer.x509.publicKey),
  }
}

export function toCertificatePem(der: Uint8Array): string {
  return decode(der).toString()
}

function decode(source: string | Uint8Array): X509Certificate {
  try {
    return new X509Certificate(source)
  } catch (error) {
    throw new AppError("CERTIFICATE_MALFORMED", "the certificate cannot be read", { cause: error })
  }
}
