/** Who is trusted, given as PEM texts, and the question whether one of them made a bundle's signature. Nothing is fetched. */
import { AppError } from "../../contract/errors.ts"
import { parseBase64 } from "../bytes/bytes.ts"
import type { Bundle } from "./bundle.ts"
import { readCertificate, type Certificate } from "./certificate.ts"
import { checkChain } from "./chain.ts"
import { malformed, quoted } from "./document.ts"
import { checkEnvelope } from "./dsse.ts"
import { parseVerificationKey, toVerificationKey, type VerificationKey } from "./verification-key.ts"

/** A PEM text and what to call its owner. */
export interface TrustSource {
  readonly label: string
  /** Any number of `PUBLIC KEY` and `CERTIFICATE` blocks; text around the blocks is ignored. */
  readonly pem: string
}

export interface TrustedKeys {
  /** By hint. */
  readonly keys: ReadonlyMap<string, { readonly label: string; readonly key: VerificationKey }>
  /** Pinned certificates: authorities, or a signer's own. */
  readonly certificates: readonly (Certificate & { readonly label: string })[]
}

/** The signer of a bundle, as the trust material knows it. */
export type SignedBy =
  | { readonly kind: "key"; readonly label: string; readonly hint: string }
  | {
      readonly kind: "certificate"
      /** Of the pinned certificate the chain ended in. */
      readonly label: string
      /** Of the signer's key, as if it had signed by the key method. */
      readonly hint: string
      /** Of the signer's certificate: distinguished name, and SHA-256 of the DER in lower-case hex. */
      readonly subject: string
      readonly fingerprint: string
    }

/**
 * Throws KEY_UNREADABLE for a text without blocks, a block of another kind (private keys above all) or a damaged one,
 * and KEY_PURPOSE for a public key that signatures are not checked with. A key given twice keeps its first label.
 */
export function parseTrustedKeys(sources: readonly TrustSource[]): TrustedKeys {
  const keys = new Map<string, { label: string; key: VerificationKey }>()
  const certificates: (Certificate & { label: string })[] = []
  for (const { label, pem } of sources) {
    for (const block of pemBlocks(pem, label)) {
      if (block.kind === "CERTIFICATE") certificates.push({ ...parseCertificate(block.base64, label), label })
      else {
        const key = parseVerificationKey(block.text)
        if (!keys.has(key.hint)) keys.set(key.hint, { label, key })
      }
    }
  }
  return { keys, certificates }
}

/**
 * Says who signed. Throws SIGNER_UNTRUSTED when the claimed signer is not among `trust`, SIGNATURE_INVALID when it is
 * but did not sign this content, SIGNATURE_MALFORMED for certificates that cannot be read, and SIGNATURE_UNSUPPORTED for
 * a signer's key that is not EC and for the sigstore method, whose log is not judged here. Certificates must be valid at
 * `at` (see checkChain); bare keys have no dates.
 */
export function checkSigner(bundle: Bundle, trust: TrustedKeys, at: Date): SignedBy {
  const { signer, envelope } = bundle
  if (signer.kind === "key") {
    const trusted = trust.keys.get(signer.hint)
    if (trusted === undefined) {
      throw new AppError("SIGNER_UNTRUSTED", `no trusted key has the hint ${quoted(signer.hint)}`)
    }
    checkEnvelope(envelope, trusted.key)
    return { kind: "key", label: trusted.label, hint: signer.hint }
  }
  if (signer.kind === "sigstore") {
    throw new AppError("SIGNATURE_UNSUPPORTED", "signatures of the sigstore method cannot be checked here")
  }
  const [leaf, ...rest] = signer.chain.map(readChainCertificate)
  if (leaf === undefined) throw malformed("the certificate chain is empty")
  const { label } = checkChain([leaf, ...rest], trust.certificates, at)
  const key = toSignerKey(leaf)
  checkEnvelope(envelope, key)
  const { x509, fingerprint } = leaf
  return { kind: "certificate", label, hint: key.hint, subject: x509.subject, fingerprint }
}

interface PemBlock {
  readonly kind: "PUBLIC KEY" | "CERTIFICATE"
  readonly text: string
  readonly base64: string
}

/** RFC 7468 blocks of the two kinds that can be trusted. */
function pemBlocks(pem: string, label: string): readonly PemBlock[] {
  const blocks = [...pem.matchAll(BLOCK)].map(([text, kind, body]) => {
    if (kind !== "PUBLIC KEY" && kind !== "CERTIFICATE") {
      throw unreadable(label, `holds a block "${kind}", only public keys and certificates can be trusted`)
    }
    return { kind, text, base64: (body ?? "").replaceAll(/\s/g, "") } as const
  })
  const begun = pem.split("-----BEGIN ").length - 1
  if (blocks.length === 0 || blocks.length !== begun) throw unreadable(label, "holds no whole PEM block")
  return blocks
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----/g

function parseCertificate(base64: string, label: string): Certificate {
  const der = parseBase64(base64)
  const certificate = der === null ? null : readCertificate(der)
  if (certificate === null) throw unreadable(label, "holds a damaged certificate")
  return certificate
}

function readChainCertificate(der: Uint8Array): Certificate {
  const certificate = readCertificate(der)
  if (certificate === null) throw malformed("the bundle holds a certificate that cannot be read")
  return certificate
}

function toSignerKey(leaf: Certificate): VerificationKey {
  const key = toVerificationKey(leaf.publicKey)
  if (key !== null) return key
  const kind = leaf.publicKey.asymmetricKeyType ?? "unknown"
  throw new AppError("SIGNATURE_UNSUPPORTED", `signatures of keys of type ${kind} cannot be checked here`)
}

function unreadable(label: string, fault: string): AppError {
  return new AppError("KEY_UNREADABLE", `the trust file of ${label} ${fault}`)
}
