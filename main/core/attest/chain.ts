/** Whether a signer's certificate leads to a pinned one, and whether every certificate on the way allows it (RFC 5280, 6). */
import type { KeyObject } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { type Certificate, PURPOSE } from "./certificate.ts"
import { quoted } from "./document.ts"
import { toVerificationKey } from "./verification-key.ts"

/**
 * Leaf → intermediates → pinned certificate, which is returned. A pinned certificate that is the leaf itself is its own
 * path. Everything on the path, the pinned end included, must be valid at `at`.
 *
 * The reference implementation of Model Signing judges at the leaf's own notBefore, so that there an expired signer
 * passes for ever; the specification (8.2) wants the leaf within its validity period, and so does this check. The caller
 * chooses what `at` is worth: now, or the time of a trusted timestamp.
 *
 * Throws SIGNER_UNTRUSTED with the first thing that is wrong. Revocation is not judged here.
 */
export function checkChain<Pinned extends Certificate>(
  chain: readonly [Certificate, ...Certificate[]],
  pinned: readonly Pinned[],
  at: Date,
): Pinned {
  const [leaf, ...intermediates] = chain
  const path = findPath(leaf, intermediates, pinned)
  if (path === null) throw untrusted(leaf, "leads to no trusted certificate")
  for (const certificate of path.certificates) checkSelf(certificate, at)
  for (const [below, issuer] of path.certificates.slice(1).entries()) {
    checkIssuer(issuer, path.certificates.slice(1, below + 1))
  }
  checkLeaf(leaf)
  return path.end
}

interface Path<Pinned> {
  /** Leaf first, the pinned end last. */
  readonly certificates: readonly Certificate[]
  readonly end: Pinned
}

/**
 * By names and signatures only, so that what else is wrong can be said of a definite path. Each certificate is visited
 * once: a bundle of certificates that all issue each other costs no more than their pairs.
 */
function findPath<Pinned extends Certificate>(
  certificate: Certificate,
  candidates: readonly Certificate[],
  pinned: readonly Pinned[],
  visited = new Set<Certificate>(),
): Path<Pinned> | null {
  const self = pinned.find((end) => end.fingerprint === certificate.fingerprint)
  if (self !== undefined) return { certificates: [self], end: self }
  const end = pinned.find((issuer) => isIssuedBy(certificate, issuer))
  if (end !== undefined) return { certificates: [certificate, end], end }
  visited.add(certificate)
  for (const issuer of candidates) {
    if (visited.has(issuer) || !isIssuedBy(certificate, issuer)) continue
    const rest = findPath(issuer, candidates, pinned, visited)
    if (rest !== null) return { ...rest, certificates: [certificate, ...rest.certificates] }
  }
  return null
}

function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  return certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.publicKey)
}

function checkSelf(certificate: Certificate, at: Date): void {
  const { validFromDate, validToDate, signatureAlgorithmOid } = certificate.x509
  // 6.1.3 (a)(2). Written so that an invalid date refuses.
  if (!(validFromDate <= at && at <= validToDate)) {
    const asked = Number.isNaN(at.getTime()) ? "an unknown time" : at.toISOString()
    throw untrusted(
      certificate,
      `is valid from ${validFromDate.toISOString()} to ${validToDate.toISOString()}, not at ${asked}`,
    )
  }
  // 6.1.3 (a)(1): a hash that can be collided proves nothing about what was issued.
  if (!SOUND_SIGNATURES.has(signatureAlgorithmOid))
    throw untrusted(certificate, `is signed with ${signatureAlgorithmOid}`)
  const [critical] = certificate.unknownCritical
  if (critical !== undefined)
    throw untrusted(certificate, `has a critical extension that is not understood (${critical})`)
}

/** 6.1.4 (k) to (n): whoever issues is an authority, for as many levels as it says, for signing code if it says for what. */
function checkIssuer(issuer: Certificate, below: readonly Certificate[]): void {
  // checkIssued happens to refuse issuers without keyCertSign as well, but does not promise it.
  if (!issuer.isAuthority || !issuer.mayIssue) throw untrusted(issuer, "may not issue certificates")
  // Self-issued certificates (same name above and below) do not count.
  const intermediates = below.filter(({ x509 }) => x509.subject !== x509.issuer).length
  if (issuer.maxIntermediates !== null && intermediates > issuer.maxIntermediates) {
    throw untrusted(issuer, `allows ${issuer.maxIntermediates} intermediates, not ${intermediates}`)
  }
  if (!isSoundKey(issuer.publicKey)) throw untrusted(issuer, "has a key too weak to issue certificates")
  const { purposes } = issuer
  if (purposes !== null && !purposes.includes(PURPOSE.codeSigning) && !purposes.includes(PURPOSE.any)) {
    throw untrusted(issuer, "is not meant for code signing")
  }
}

/** The signer's own certificate. Where it has keyUsage it must allow signatures; where it has extKeyUsage, code signing. */
function checkLeaf(leaf: Certificate): void {
  if (!leaf.maySign) throw untrusted(leaf, "may not make signatures")
  if (leaf.purposes !== null && !leaf.purposes.includes(PURPOSE.codeSigning)) {
    throw untrusted(leaf, "is not meant for code signing")
  }
}

/** RSA of 2048 bits or more, or an EC key on one of the curves that signatures are checked with. */
function isSoundKey(key: KeyObject): boolean {
  if (key.asymmetricKeyType === "rsa") return (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048
  return toVerificationKey(key) !== null
}

function untrusted(certificate: Certificate, fault: string): AppError {
  return new AppError("SIGNER_UNTRUSTED", `the certificate of ${quoted(certificate.x509.subject)} ${fault}`)
}

/** RSA PKCS#1 v1.5 and ECDSA, each with SHA-256, -384 or -512. */
const SOUND_SIGNATURES = new Set([
  "1.2.840.113549.1.1.11",
  "1.2.840.113549.1.1.12",
  "1.2.840.113549.1.1.13",
  "1.2.840.10045.4.3.2",
  "1.2.840.10045.4.3.3",
  "1.2.840.10045.4.3.4",
])
