/** Certificates people already have: shown, judged against roots and revocation lists, and asked for. */
import type { CertificateFacts, ImportKey } from "../../contract/schema/certificates.ts"
import type { Key } from "../../contract/schema/keys.ts"
import { engineRouter } from "../../contract/server.ts"
import { readCertificate } from "../../core/attest/certificate.ts"
import { toCertificatePem } from "../../core/attest/certificate-pem.ts"
import { createCertificateRequest } from "../../core/attest/certificate-request.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { writeSmallFile } from "../enrolment/files.ts"
import type { Ports } from "../ports.ts"
import { attachCertificate } from "./attach.ts"
import { factsOf, readCertificates, show } from "./facts.ts"
import { verifyCertificate } from "./judge.ts"

export function certificateHandlers(ports: Ports) {
  const os = engineRouter.certificates
  return {
    show: os.show.handler(async ({ input }) => show(await readCertificates(ports, input.file))),
    verify: os.verify.handler(async ({ input }) => verifyCertificate(ports, input)),
    attach: os.attach.handler(async ({ input }) => attachCertificate(ports, input)),
    request: os.request.handler(async ({ input }) => {
      const key = await ports.keys.find(input.key, "signing")
      const signer = {
        publicKeyPem: () => key.publicKeyPem ?? "",
        sign: async (message: Uint8Array) => ports.keys.sign(key, message),
      }
      const pem = await createCertificateRequest(input.subject, signer)
      const file = await writeSmallFile(ports, input.output, toUtf8(pem))
      return { key: key.name, subject: input.subject, file }
    }),
  }
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
