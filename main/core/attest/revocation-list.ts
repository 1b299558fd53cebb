/** Revocation lists (RFC 5280, 5): made by a workspace's authority, and judged for every certificate of a path. */
import "reflect-metadata"
import {
  AuthorityKeyIdentifierExtension,
  Extension,
  X509Certificate,
  X509Crl,
  X509CrlGenerator,
  X509CrlReason,
} from "@peculiar/x509"
import { AppError } from "../../contract/errors.ts"
import type { Certificate } from "./certificate.ts"
import { subjectOf } from "./chain.ts"
import { quoted } from "./document.ts"
import { externalKey, SIGNING_ALGORITHM } from "./external-key.ts"
import type { Authority } from "./issue-certificate.ts"

export interface Revoked {
  /** Serial number, hex. */
  readonly serial: string
  readonly at: Date
}

/** A list in DER. `number` grows with every list of one authority. */
export async function issueRevocationList(
  { certificate, signer }: Authority,
  revoked: readonly Revoked[],
  number: number,
  validity: { readonly thisUpdate: Date; readonly nextUpdate: Date },
): Promise<Uint8Array> {
  const key = await externalKey(signer)
  const list = await X509CrlGenerator.create(
    {
      issuer: new X509Certificate(Uint8Array.from(certificate)).subjectName,
      ...validity,
      entries: revoked.map(({ serial, at }) => ({ serialNumber: serial, revocationDate: at })),
      signingKey: key.keys.privateKey,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        await AuthorityKeyIdentifierExtension.create(key.keys.publicKey),
        new Extension(CRL_NUMBER, false, integer(number)),
      ],
    },
    key.crypto,
  )
  return new Uint8Array(list.rawData)
}

export type RevocationList = X509Crl

/** Throws CERTIFICATE_MALFORMED. */
export function readRevocationList(der: Uint8Array): RevocationList {
  try {
    return new X509Crl(Uint8Array.from(der))
  } catch (error) {
    throw new AppError("CERTIFICATE_MALFORMED", "the revocation list cannot be read", { cause: error })
  }
}

export type RevocationVerdict =
  | { readonly kind: "good" }
  | { readonly kind: "revoked"; readonly certificate: Certificate; readonly reason: string }
  /** No list that could be believed covers this certificate. */
  | { readonly kind: "unknown"; readonly certificate: Certificate; readonly reason: string }

/**
 * Every certificate of the path but its pinned end, against the lists of their issuers. A list counts when the issuer
 * signed it, may sign lists, and `at` is between its two dates; one with a critical extension (a partial or indirect
 * list) never counts.
 */
export async function judgeRevocation(
  path: readonly Certificate[],
  lists: readonly RevocationList[],
  at: Date,
): Promise<RevocationVerdict> {
  for (const [index, issuer] of path.slice(1).entries()) {
    const certificate = path[index]
    if (certificate === undefined) break
    const usable = await listsOf(issuer, lists, at)
    if (usable.length === 0) {
      return {
        kind: "unknown",
        certificate,
        reason: `no current revocation list of ${quoted(subjectOf(issuer))} is at hand`,
      }
    }
    for (const list of usable) {
      // removeFromCRL stands in delta lists only, which listsOf left out.
      const entry = list.findRevoked(certificate.x509.serialNumber)
      if (entry !== null && entry.reason !== X509CrlReason.removeFromCRL) {
        return {
          kind: "revoked",
          certificate,
          reason: `was revoked on ${entry.revocationDate.toISOString()}`,
        }
      }
    }
  }
  return { kind: "good" }
}

/** id-ce-cRLNumber. */
const CRL_NUMBER = "2.5.29.20"
async function listsOf(
  issuer: Certificate,
  lists: readonly RevocationList[],
  at: Date,
): Promise<readonly RevocationList[]> {
  if (!issuer.mayRevoke) return []
  const certificate = new X509Certificate(Uint8Array.from(issuer.x509.raw))
  const usable: RevocationList[] = []
  for (const list of lists) {
    const isCurrent = list.thisUpdate <= at && list.nextUpdate !== undefined && at <= list.nextUpdate
    if (!isCurrent || list.extensions.some(({ critical }) => critical)) continue
    if (list.issuer !== certificate.subject) continue
    const isSigned = await list.verify({ publicKey: certificate }).catch(() => false)
    if (isSigned) usable.push(list)
  }
  return usable
}

/** DER INTEGER of a non-negative number. */
function integer(value: number): Uint8Array<ArrayBuffer> {
  const hex = value.toString(16)
  const digits = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex")
  const content = (digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits
  return Uint8Array.from([2, content.length, ...content])
}
