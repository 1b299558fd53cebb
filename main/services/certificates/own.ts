/** Keys that have certificates from outside: brought along in a credential file, or asked for. */
import type {
  CertificateFacts,
  ImportKey,
  RequestCertificate,
  RequestedCertificate,
} from "../../contract/schema/certificates.ts"
import type { Key } from "../../contract/schema/keys.ts"
import { readCertificate } from "../../core/attest/certificate.ts"
import { toCertificatePem } from "../../core/attest/certificate-pem.ts"
import { createCertificateRequest } from "../../core/attest/certificate-request.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { writeSmallFile } from "../small-file.ts"
import type { Ports } from "../ports.ts"
import { factsOf } from "./facts.ts"

/** A request for a certificate of a signing key, PEM, for an authority outside. Throws KEY_NOT_FOUND. */
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

/** The key, and what the file says about it; its certificates stay with it, and go to `chain`. */
export async function importKey(
  ports: Ports,
  { name, file, passphrase, chain }: ImportKey,
): Promise<{ readonly key: Key; readonly certificates: CertificateFacts[] }> {
  const imported = await ports.keys.import({ name, file, passphrase })
  const certificates = imported.chain.flatMap((der) => readCertificate(der) ?? [])
  try {
    await ports.keys.attach(imported.key, imported.chain)
    if (chain !== null)
      await writeSmallFile(ports, chain, toUtf8(imported.chain.map((der) => toCertificatePem(der)).join("")))
  } catch (error) {
    await ports.keys.remove(imported.key)
    throw error
  }
  return { key: imported.key, certificates: certificates.map(factsOf) }
}
