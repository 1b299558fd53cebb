/** Certificates that came back from an authority, kept with the key they are for. */
import { AppError } from "../../contract/errors.ts"
import type { AttachCertificate, AttachedCertificate, ShownKey } from "../../contract/schema/certificates.ts"
import { readCertificate } from "../../core/attest/certificate.ts"
import { ownChain } from "../../core/attest/own-chain.ts"
import { parseTrustedKeys } from "../../core/attest/trust.ts"
import { Checklist } from "../checklist.ts"
import type { Ports } from "../ports.ts"
import { factsOf, readCertificates } from "./facts.ts"
import { judge, LEADS_TO_ROOT, readLists, SECTION } from "./judge.ts"

/**
 * Keeps what the file has of the way from the key's own certificate upwards, if it is good: to one of `roots`, or without
 * roots as far as the file goes. Throws CERTIFICATE_FOREIGN when no certificate is for this key, and KEY_NOT_FOUND.
 */
export async function attachCertificate(
  ports: Ports,
  wanted: AttachCertificate,
): Promise<AttachedCertificate> {
  if (wanted.roots === null && wanted.lists.length > 0)
    throw new AppError("USAGE", "revocation lists are judged from roots on: give --roots as well")
  const key = await ports.keys.find(wanted.key, "signing")
  const file = await readCertificates(ports, wanted.file)
  const chain = ownChain(key.publicKeyPem ?? "", file.certificates)
  if (chain === null)
    throw new AppError("CERTIFICATE_FOREIGN", `no certificate of the file is for key ${key.name}`)
  const list = new Checklist()
  await list.check("key", SECTION, "it is for this key", async () => ({
    reason: `public key ${key.fingerprint}`,
    value: true,
  }))
  const top = chain.at(-1) ?? chain[0]
  const roots =
    wanted.roots === null ? null : parseTrustedKeys(await ports.trust.read(wanted.roots)).certificates
  const judged = await judge(list, {
    chain,
    ends: roots ?? [top],
    lists: [...(roots === null ? [] : file.lists), ...(await readLists(ports, wanted.lists))],
    at: ports.now(),
    goal: roots === null ? "it is good as far as the file goes" : LEADS_TO_ROOT,
    purpose: wanted.purpose,
  })
  if (judged.verdict === "trusted")
    await ports.keys.attach(
      key,
      chain.map(({ x509 }) => Uint8Array.from(x509.raw)),
    )
  return { key: key.name, certificates: chain.map(factsOf), endsAtRoot: roots !== null, judged }
}

/** A key with the certificates that were attached to it, its own first. */
export async function showKey(ports: Ports, name: string): Promise<ShownKey> {
  const key = await ports.keys.find(name)
  const chain = await ports.keys.chain(key)
  const certificates = chain.flatMap((der) => readCertificate(der) ?? [])
  return { ...key, certificates: certificates.map(factsOf) }
}
