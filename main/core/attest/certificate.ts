/** X.509 certificates as the chain check needs them: node:crypto for names, times and keys, our own reader for extensions. */
import { createHash, X509Certificate, type KeyObject } from "node:crypto"
import { isEqual, toHex } from "../bytes/bytes.ts"
import { DER, readElements, type DerElement } from "./der.ts"

export interface Certificate {
  readonly x509: X509Certificate
  readonly publicKey: KeyObject
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  /** basicConstraints: whether it may issue, and how many intermediates may stand below it (`null`: any number). */
  readonly isAuthority: boolean
  readonly maxIntermediates: number | null
  /** keyUsage; all `true` when the extension is absent. */
  readonly mayIssue: boolean
  readonly maySign: boolean
  readonly mayAgree: boolean
  readonly mayEncipher: boolean
  readonly mayRevoke: boolean
  /** extKeyUsage: OIDs in hex of their DER content; `null` when absent. */
  readonly purposes: readonly string[] | null
  /** OIDs (hex) of critical extensions that are not understood here; RFC 5280 4.2 wants such certificates refused. */
  readonly unknownCritical: readonly string[]
}

/** OIDs as hex of their DER content. */
export const PURPOSE = {
  codeSigning: "2b06010505070303",
  /** tcg-kp-EKCertificate, 2.23.133.8.1 (TCG EK Credential Profile). */
  endorsementKey: "6781050801",
  any: "551d2500",
} as const

/** Exactly one DER certificate, or `null`: PEM, trailing bytes, repeated or unreadable extensions are no certificate. */
export function readCertificate(der: Uint8Array): Certificate | null {
  const decoded = decode(der)
  const extensions = decoded === null ? null : readExtensions(der)
  if (decoded === null || extensions === null) return null
  const basic = readBasicConstraints(extensions.get(BASIC_CONSTRAINTS))
  const usage = readKeyUsage(extensions.get(KEY_USAGE))
  const purposes = readPurposes(extensions.get(EXTENDED_KEY_USAGE))
  if (basic === undefined || usage === undefined || purposes === undefined) return null
  return {
    ...decoded,
    fingerprint: createHash("sha256").update(der).digest("hex"),
    isAuthority: basic.isAuthority,
    maxIntermediates: basic.maxIntermediates,
    mayIssue: usage === null || (usage & USAGE.keyCertSign) !== 0,
    maySign: usage === null || (usage & USAGE.digitalSignature) !== 0,
    mayAgree: usage === null || (usage & USAGE.keyAgreement) !== 0,
    mayEncipher: usage === null || (usage & USAGE.keyEncipherment) !== 0,
    mayRevoke: usage === null || (usage & USAGE.crlSign) !== 0,
    purposes,
    unknownCritical: [...extensions].flatMap(([oid, { critical }]) =>
      critical && !UNDERSTOOD.has(oid) ? [oid] : [],
    ),
  }
}

interface Extension {
  readonly critical: boolean
  /** The DER inside extnValue. */
  readonly elements: readonly DerElement[]
}

const BASIC_CONSTRAINTS = "551d13"
const KEY_USAGE = "551d0f"
const EXTENDED_KEY_USAGE = "551d25"
/** Names of the subject: they do not bear on whether a path is valid. */
const SUBJECT_ALTERNATIVE_NAME = "551d11"
const UNDERSTOOD = new Set([BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALTERNATIVE_NAME])

/** RFC 5280 4.2.1.3: bits counted from the highest bit of the first octet. */
const USAGE = {
  digitalSignature: 0x80,
  keyEncipherment: 0x20,
  keyAgreement: 0x08,
  keyCertSign: 0x04,
  crlSign: 0x02,
} as const

function decode(der: Uint8Array): Pick<Certificate, "x509" | "publicKey"> | null {
  try {
    const x509 = new X509Certificate(der)
    // The constructor also takes PEM and ignores what follows: only the DER itself may stand here.
    return isEqual(x509.raw, der) ? { x509, publicKey: x509.publicKey } : null
  } catch {
    return null
  }
}

/** RFC 5280 4.1: extensions are the element [3] of tbsCertificate, the first element of the certificate. */
function readExtensions(der: Uint8Array): ReadonlyMap<string, Extension> | null {
  const found = new Map<string, Extension>()
  const tbs = childrenOf(childrenOf(readElements(der)?.[0])?.[0])
  if (tbs === null) return null
  const list = tbs.find((element) => element.tag === EXTENSIONS_TAG)
  if (list === undefined) return found
  const items = childrenOf(readElements(list.content)?.[0])
  if (items === null) return null
  for (const item of items) {
    const parts = childrenOf(item)
    const [oid, ...rest] = parts ?? []
    const value = rest.at(-1)
    const critical = rest.length === 2 ? readBoolean(rest[0]) : false
    const elements = value?.tag === DER.octetString ? readElements(value.content) : null
    if (oid?.tag !== DER.objectIdentifier || rest.length > 2 || critical === null || elements === null)
      return null
    const name = toHex(oid.content)
    if (found.has(name)) return null
    found.set(name, { critical, elements })
  }
  return found
}

const EXTENSIONS_TAG = 0xa3

/** RFC 5280 4.2.1.9. `undefined`: unreadable. */
function readBasicConstraints(extension: Extension | undefined): BasicConstraints | undefined {
  if (extension === undefined) return { isAuthority: false, maxIntermediates: null }
  const parts = childrenOf(extension.elements[0])
  if (parts === null || extension.elements.length !== 1 || parts.length > 2) return undefined
  const [first, second] = parts
  if (first === undefined) return { isAuthority: false, maxIntermediates: null }
  const isAuthority = readBoolean(first)
  if (isAuthority === null) return undefined
  if (second === undefined) return { isAuthority, maxIntermediates: null }
  const [size, ...more] = second.content
  if (second.tag !== DER.integer || size === undefined || size >= 0x80 || more.length > 0) return undefined
  return { isAuthority, maxIntermediates: size }
}

interface BasicConstraints {
  readonly isAuthority: boolean
  readonly maxIntermediates: number | null
}

/** The first octet of the bits, `null` when the extension is absent, `undefined` when it is unreadable. */
function readKeyUsage(extension: Extension | undefined): number | null | undefined {
  if (extension === undefined) return null
  const [bits, ...more] = extension.elements
  const [unused, first] = bits?.content ?? []
  if (bits?.tag !== DER.bitString || more.length > 0 || unused === undefined || unused > 7) return undefined
  return first ?? 0
}

/** As readKeyUsage, for extKeyUsage. */
function readPurposes(extension: Extension | undefined): readonly string[] | null | undefined {
  if (extension === undefined) return null
  const purposes = childrenOf(extension.elements[0])
  if (purposes === null || extension.elements.length !== 1 || purposes.length === 0) return undefined
  return purposes.every((purpose) => purpose.tag === DER.objectIdentifier)
    ? purposes.map((purpose) => toHex(purpose.content))
    : undefined
}

function childrenOf(element: DerElement | undefined): readonly DerElement[] | null {
  return element?.tag === DER.sequence ? readElements(element.content) : null
}

function readBoolean(element: DerElement | undefined): boolean | null {
  const [value, ...more] = element?.content ?? []
  if (element?.tag !== DER.boolean || more.length > 0 || (value !== 0 && value !== 0xff)) return null
  return value === 0xff
}
