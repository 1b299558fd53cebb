/** Certificates and revocation lists as files people have: one or many, PEM or DER, in any mixture. */
import { AppError } from "../../contract/errors.ts"
import { parseBase64 } from "../bytes/bytes.ts"
import { readCertificate, type Certificate } from "./certificate.ts"
import { readRevocationList, type RevocationList } from "./revocation-list.ts"

export interface CertificateFile {
  /** In the order of the file. */
  readonly certificates: readonly Certificate[]
  readonly lists: readonly RevocationList[]
}

const MAX_BLOCKS = 256

/** Throws CERTIFICATE_MALFORMED for a damaged block, a file with neither, and one that holds a private key. */
export function readCertificateFile(bytes: Uint8Array): CertificateFile {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")
  if (!text.includes("-----BEGIN ")) return readDer(bytes)
  const blocks = [...text.matchAll(BLOCK)]
  const begun = text.split("-----BEGIN ").length - 1
  if (blocks.length !== begun || blocks.length > MAX_BLOCKS) throw malformed("holds a block that is cut")
  const certificates: Certificate[] = []
  const lists: RevocationList[] = []
  for (const [, kind, body] of blocks) {
    const der = parseBase64((body ?? "").replaceAll(/\s/g, ""))
    if (der === null) throw malformed("holds a block that is no base64")
    if (kind === "CERTIFICATE") certificates.push(certificateOf(der))
    else if (kind === "X509 CRL") lists.push(readRevocationList(der))
    else throw malformed(`holds a ${kind?.toLowerCase() ?? "block"}, which is no certificate`)
  }
  return { certificates, lists }
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----/g

function readDer(der: Uint8Array): CertificateFile {
  const certificate = readCertificate(der)
  return certificate === null
    ? { certificates: [], lists: [readRevocationList(der)] }
    : { certificates: [certificate], lists: [] }
}

function certificateOf(der: Uint8Array): Certificate {
  const certificate = readCertificate(der)
  if (certificate === null) throw malformed("holds a damaged certificate")
  return certificate
}

function malformed(fault: string): AppError {
  return new AppError("CERTIFICATE_MALFORMED", `the file ${fault}`)
}
