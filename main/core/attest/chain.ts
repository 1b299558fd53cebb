/** Whether a signer's certificate leads to a pinned one, and whether every certificate on the way allows it (RFC 5280, 6). */
import type { KeyObject } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { type Certificate, PURPOSE } from "./certificate.ts"
import { quoted } from "./document.ts"
import { toVerificationKey } from "./verification-key.ts"

/** What a certificate may be wrong about, so that a person can be told which it is. */
export type ChainProblem =
  | "unknown-issuer"
  | "expired"
  | "not-yet-valid"
  | "wrong-usage"
  | "not-an-authority"
  | "weak"
  | "not-understood"

export type ChainVerdict<Pinned> =
  | { readonly kind: "trusted"; readonly path: Path<Pinned> }
  | {
      readonly kind: "refused"
      readonly problem: ChainProblem
      readonly certificate: Certificate
      /** What is wrong, to follow the name of the certificate in a sentence. */
      readonly reason: string
    }

export interface Path<Pinned> {
  /** Leaf first, the pinned end last. */
  readonly certificates: readonly Certificate[]
  readonly end: Pinned
}

/** What the leaf is asked to do, and what its issuers may be limited to. */
export type ChainPurpose = "code-signing" | "device-signing" | "device-decryption" | "endorsement-key"

/**
 * Leaf → intermediates → pinned certificate. A pinned certificate that is the leaf itself is its own path. Everything on
 * the path, the pinned end included, must be valid at `at`.
 *
 * The reference implementation of Model Signing judges at the leaf's own notBefore, so that there an expired signer
 * passes for ever; the specification (8.2) wants the leaf within its validity period, and so does this check. The caller
 * chooses what `at` is worth: now, or the time of a trusted timestamp. Revocation is judged by checkRevocation.
 */
export function judgeChain<Pinned extends Certificate>(
  chain: readonly [Certificate, ...Certificate[]],
  pinned: readonly Pinned[],
  at: Date,
  purpose: ChainPurpose,
): ChainVerdict<Pinned> {
  const [leaf, ...intermediates] = chain
  const path = findPath(leaf, intermediates, pinned)
  if (path === null) {
    return refusal(leaf, "unknown-issuer", "leads to no trusted certificate")
  }
  for (const certificate of path.certificates) {
    const fault = faultOfSelf(certificate, at)
    if (fault !== null) return fault
  }
  for (const [below, issuer] of path.certificates.slice(1).entries()) {
    const fault = faultOfIssuer(issuer, path.certificates.slice(1, below + 1), purpose)
    if (fault !== null) return fault
  }
  return faultOfLeaf(leaf, purpose) ?? { kind: "trusted", path }
}

/** The pinned end of a signer's chain. Throws SIGNER_UNTRUSTED with the first thing that is wrong. */
export function checkChain<Pinned extends Certificate>(
  chain: readonly [Certificate, ...Certificate[]],
  pinned: readonly Pinned[],
  at: Date,
): Pinned {
  const verdict = judgeChain(chain, pinned, at, "code-signing")
  if (verdict.kind === "trusted") return verdict.path.end
  throw new AppError("SIGNER_UNTRUSTED", describeRefusal(verdict))
}

export function describeRefusal({
  certificate,
  reason,
}: {
  readonly certificate: Certificate
  readonly reason: string
}): string {
  return `the certificate of ${quoted(subjectOf(certificate))} ${reason}`
}

/**
 * The subject in one line. node:crypto puts each part of a name on a line of its own, and gives `undefined` in spite of its
 * types where there is none, as in certificates of endorsement keys.
 */
export function subjectOf(certificate: Certificate): string {
  const subject: string | undefined = certificate.x509.subject
  return (subject ?? "").replaceAll("\n", ", ")
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

/** By name and signature; whether the issuer may issue is another question. */
export function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  return certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.publicKey)
}

type Refusal = Extract<ChainVerdict<Certificate>, { readonly kind: "refused" }>

function faultOfSelf(certificate: Certificate, at: Date): Refusal | null {
  const { validFromDate, validToDate, signatureAlgorithmOid } = certificate.x509
  // 6.1.3 (a)(2). Written so that an invalid date refuses.
  if (!(validFromDate <= at && at <= validToDate)) {
    const asked = Number.isNaN(at.getTime()) ? "an unknown time" : at.toISOString()
    return refusal(
      certificate,
      at < validFromDate ? "not-yet-valid" : "expired",
      `is valid from ${validFromDate.toISOString()} to ${validToDate.toISOString()}, not at ${asked}`,
    )
  }
  // 6.1.3 (a)(1): a hash that can be collided proves nothing about what was issued.
  if (!SOUND_SIGNATURES.has(signatureAlgorithmOid))
    return refusal(certificate, "weak", `is signed with ${signatureAlgorithmOid}`)
  const [critical] = certificate.unknownCritical
  return critical === undefined
    ? null
    : refusal(certificate, "not-understood", `has a critical extension that is not understood (${critical})`)
}

/** 6.1.4 (k) to (n): whoever issues is an authority, for as many levels as it says, for this purpose if it says for what. */
function faultOfIssuer(
  issuer: Certificate,
  below: readonly Certificate[],
  purpose: ChainPurpose,
): Refusal | null {
  // checkIssued happens to refuse issuers without keyCertSign as well, but does not promise it.
  if (!issuer.isAuthority || !issuer.mayIssue)
    return refusal(issuer, "not-an-authority", "may not issue certificates")
  // Self-issued certificates (same name above and below) do not count.
  const intermediates = below.filter(({ x509 }) => x509.subject !== x509.issuer).length
  if (issuer.maxIntermediates !== null && intermediates > issuer.maxIntermediates) {
    return refusal(
      issuer,
      "not-an-authority",
      `allows ${issuer.maxIntermediates} intermediates, not ${intermediates}`,
    )
  }
  if (!isSoundKey(issuer.publicKey))
    return refusal(issuer, "weak", "has a key too weak to issue certificates")
  const { extended, meaning } = PURPOSES[purpose]
  const { purposes } = issuer
  return purposes === null ||
    extended === null ||
    purposes.includes(extended) ||
    purposes.includes(PURPOSE.any)
    ? null
    : refusal(issuer, "wrong-usage", `is not meant for ${meaning}`)
}

/** Where the leaf has keyUsage it must allow the purpose; where it has extKeyUsage, that must name it. */
function faultOfLeaf(leaf: Certificate, purpose: ChainPurpose): Refusal | null {
  const { extended, meaning, isAllowed, verb } = PURPOSES[purpose]
  if (!isAllowed(leaf)) return refusal(leaf, "wrong-usage", `may not ${verb}`)
  const named = leaf.purposes === null || (extended !== null && leaf.purposes.includes(extended))
  return named ? null : refusal(leaf, "wrong-usage", `is not meant for ${meaning}`)
}

interface PurposeRule {
  readonly isAllowed: (leaf: Certificate) => boolean
  readonly verb: string
  readonly extended: string | null
  readonly meaning: string
}

const PURPOSES: Readonly<Record<ChainPurpose, PurposeRule>> = {
  "code-signing": {
    isAllowed: ({ maySign }) => maySign,
    verb: "make signatures",
    extended: PURPOSE.codeSigning,
    meaning: "code signing",
  },
  "device-signing": {
    isAllowed: ({ maySign }) => maySign,
    verb: "make signatures",
    extended: null,
    meaning: "signatures of a device",
  },
  "device-decryption": {
    isAllowed: ({ mayAgree }) => mayAgree,
    verb: "agree on keys",
    extended: null,
    meaning: "decryption on a device",
  },
  "endorsement-key": {
    isAllowed: ({ mayEncipher, mayAgree, publicKey }) =>
      publicKey.asymmetricKeyType === "rsa" ? mayEncipher : mayAgree,
    verb: "receive secrets",
    extended: PURPOSE.endorsementKey,
    meaning: "the endorsement key of a TPM",
  },
}

/** RSA of 2048 bits or more, or an EC key on one of the curves that signatures are checked with. */
function isSoundKey(key: KeyObject): boolean {
  if (key.asymmetricKeyType === "rsa") return (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048
  return toVerificationKey(key) !== null
}

function refusal(certificate: Certificate, problem: ChainProblem, reason: string): Refusal {
  return { kind: "refused", problem, certificate, reason }
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
