/** Of a heap of certificates those that belong to one key: its own, and the way up from there as far as it goes. */
import { createPublicKey } from "node:crypto"
import type { Certificate } from "./certificate.ts"
import { isIssuedBy } from "./chain.ts"

/**
 * The key's own certificate first, then its issuer, and so on; a circle ends where it closes. Of several for the same key the
 * one that is valid longest. `null` when none is for this key. `publicKeyPem`: SPKI.
 */
export function ownChain(
  publicKeyPem: string,
  certificates: readonly Certificate[],
): readonly [Certificate, ...Certificate[]] | null {
  const key = createPublicKey(publicKeyPem)
  const [leaf] = certificates
    .filter(({ publicKey }) => publicKey.equals(key))
    .sort((a, b) => b.x509.validToDate.getTime() - a.x509.validToDate.getTime())
  if (leaf === undefined) return null
  const chain: [Certificate, ...Certificate[]] = [leaf]
  for (let below = leaf; ;) {
    const issuer = certificates.find((other) => !chain.includes(other) && isIssuedBy(below, other))
    if (issuer === undefined) return chain
    chain.push(issuer)
    below = issuer
  }
}
