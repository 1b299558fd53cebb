/** Certificate requests (PKCS#10): for keys that live anywhere, and what a stranger's request says. */
import "reflect-metadata"
import { Name, Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } from "@peculiar/x509"
import { createPublicKey, type KeyObject } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import type { Signer } from "./dsse.ts"
import { externalKey, SIGNING_ALGORITHM } from "./external-key.ts"

/**
 * A request in PEM for the signer's key. `subject` is a distinguished name (RFC 4514, `CN=…, O=…`). Throws USAGE for a
 * text that is none, KEY_PURPOSE for a key that is not P-256.
 */
export async function createCertificateRequest(subject: string, signer: Signer): Promise<string> {
  const { crypto, keys } = await externalKey(signer)
  const request = await Pkcs10CertificateRequestGenerator.create(
    { name: parseName(subject), keys, signingAlgorithm: SIGNING_ALGORITHM },
    crypto,
  )
  return `${request.toString("pem")}\n`
}

export interface CertificateRequest {
  readonly subject: string
  readonly publicKey: KeyObject
}

/** A request whose signature shows that its maker holds the key. Throws CERTIFICATE_MALFORMED, SIGNATURE_INVALID. */
export async function readCertificateRequest(der: Uint8Array): Promise<CertificateRequest> {
  const request = parseRequest(der)
  const isProven = await request.verify().catch(() => false)
  if (!isProven) throw new AppError("SIGNATURE_INVALID", "the request was not signed by the key it names")
  const publicKey = createPublicKey({
    key: Buffer.from(request.publicKey.rawData),
    format: "der",
    type: "spki",
  })
  return { subject: request.subject, publicKey }
}

function parseName(text: string): Name {
  try {
    const name = new Name(text)
    if (name.toJSON().length > 0) return name
  } catch {
    // The library's text would quote what was typed; ours says what is expected.
  }
  throw new AppError("USAGE", "the subject is a distinguished name such as CN=release-1, O=Example")
}

function parseRequest(der: Uint8Array): Pkcs10CertificateRequest {
  try {
    return new Pkcs10CertificateRequest(Uint8Array.from(der))
  } catch (error) {
    throw new AppError("CERTIFICATE_MALFORMED", "the certificate request cannot be read", { cause: error })
  }
}
