/**
 * Credentials as people already have them: PKCS#12 files (.p12, .pfx) and PEM texts, with a private key, its certificate
 * and the certificates above it. Structures and RSA are node-forge's; what it cannot read of EC keys it hands out raw.
 */
import { createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { wipe } from "../bytes/bytes.ts"
import forge, { checkIterations } from "./bounded-forge.ts"
import { DER, readElements, type DerElement } from "./der.ts"

export interface CredentialFile {
  /** `null` when the file holds certificates only. The caller drops it as soon as it is stored. */
  readonly privateKey: KeyObject | null
  /** The key's own certificate first, then its issuers as far as the file has them, DER. */
  readonly chain: readonly Uint8Array[]
}

/**
 * Reads either kind of file, at most 1 MiB. `passphrase` is empty when there is none. Throws CERTIFICATE_MALFORMED for
 * what is neither or would cost too much to open, CREDENTIAL_PASSPHRASE when the passphrase does not open it, and KEY_UNREADABLE for two private keys.
 */
export function readCredentialFile(bytes: Uint8Array, passphrase: string): CredentialFile {
  if (bytes.length > MAX_BYTES) throw malformed("is too large for a credential")
  return isPem(bytes) ? readPem(bytes, passphrase) : readPkcs12(bytes, passphrase)
}

const MAX_BYTES = 1 << 20
const MAX_CERTIFICATES = 32

function isPem(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes("-----BEGIN ")
}

function readPem(bytes: Uint8Array, passphrase: string): CredentialFile {
  const text = Buffer.from(bytes).toString("latin1")
  const blocks = [...text.matchAll(PEM_BLOCK)]
  const keys = blocks.filter(([, kind]) => kind?.endsWith("PRIVATE KEY") === true)
  const certificates = blocks.flatMap(([block, kind]) =>
    kind === "CERTIFICATE" ? [parseCertificate(block)] : [],
  )
  return arrange(
    keys.map(([block]) => openKey(block, passphrase)),
    certificates,
  )
}

const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g

function openKey(pem: string, passphrase: string): KeyObject {
  checkPemCost(pem)
  try {
    return createPrivateKey({ key: pem, format: "pem", passphrase })
  } catch (error) {
    if (/ENCRYPTED/.test(pem)) throw wrongPassphrase()
    throw new AppError("KEY_UNREADABLE", "the private key cannot be read", { cause: error })
  }
}

/** PKCS#8 (RFC 5958, 3): the encryption's parameters stand in clear, and every number in them is a cost or a length. */
function checkPemCost(pem: string): void {
  const body = /-----BEGIN ENCRYPTED PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(pem)?.[1]
  if (body === undefined) return
  const [algorithm] = childrenOf(readElements(Buffer.from(body, "base64"))?.[0])
  for (const count of algorithm === undefined ? [] : integersIn(algorithm)) checkIterations(count)
}

function integersIn(element: DerElement): readonly number[] {
  if (element.tag === DER.integer) return [element.content.reduce((value, octet) => value * 256 + octet, 0)]
  return childrenOf(element).flatMap((child) => integersIn(child))
}

function childrenOf(element: DerElement | undefined): readonly DerElement[] {
  return element?.tag === DER.sequence ? (readElements(element.content) ?? []) : []
}

/** The library names a wrong passphrase in its own words; everything else is a file it could not read. */
function readPkcs12(bytes: Uint8Array, passphrase: string): CredentialFile {
  let file: forge.pkcs12.Pkcs12Pfx
  try {
    const der = forge.util.createBuffer(Buffer.from(bytes).toString("latin1"))
    file = forge.pkcs12.pkcs12FromAsn1(forge.asn1.fromDer(der), passphrase)
  } catch (error) {
    if (error instanceof AppError) throw error
    if (error instanceof Error && /MAC could not be verified|Invalid password|decrypt/i.test(error.message))
      throw wrongPassphrase()
    throw malformed("is neither PKCS#12 nor PEM")
  }
  const bags = file.safeContents.flatMap(({ safeBags }) => safeBags)
  const { certBag, keyBag, pkcs8ShroudedKeyBag } = forge.pki.oids
  const certificates = bags.flatMap((bag) => (bag.type === certBag ? [certificateOf(bag)] : []))
  const keys = bags.flatMap((bag) =>
    bag.type === keyBag || bag.type === pkcs8ShroudedKeyBag ? [privateKeyOf(bag)] : [],
  )
  return arrange(keys, certificates)
}

function certificateOf(bag: forge.pkcs12.Bag): X509Certificate {
  const asn1 = bag.cert ? forge.pki.certificateToAsn1(bag.cert) : bag.asn1
  return parseCertificate(toBytes(asn1))
}

/** RSA keys come parsed, all others as the PrivateKeyInfo they were. */
function privateKeyOf(bag: forge.pkcs12.Bag): KeyObject {
  const asn1 = bag.key ? forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(bag.key)) : bag.asn1
  const der = toBytes(asn1)
  try {
    return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
  } catch (error) {
    throw new AppError("KEY_UNREADABLE", "the private key is of a kind that cannot be used here", {
      cause: error,
    })
  } finally {
    wipe(der)
  }
}

function toBytes(asn1: forge.asn1.Asn1): Buffer {
  return Buffer.from(forge.asn1.toDer(asn1).getBytes(), "latin1")
}

function parseCertificate(source: string | Buffer): X509Certificate {
  try {
    return new X509Certificate(source)
  } catch {
    throw malformed("holds a damaged certificate")
  }
}

/** Leaf first: the key's certificate, or without a key the one that issued none of the others. */
function arrange(keys: readonly KeyObject[], certificates: readonly X509Certificate[]): CredentialFile {
  const [privateKey = null, ...more] = keys
  if (more.length > 0) throw new AppError("KEY_UNREADABLE", "the file holds more than one private key")
  if (certificates.length > MAX_CERTIFICATES) throw malformed("holds too many certificates")
  if (privateKey === null && certificates.length === 0) throw malformed("holds no key and no certificate")
  const leaf =
    privateKey === null
      ? certificates.find((one) => !certificates.some((other) => other !== one && other.checkIssued(one)))
      : certificates.find((one) => one.publicKey.equals(createPublicKey(privateKey)))
  if (privateKey !== null && leaf === undefined && certificates.length > 0)
    throw new AppError("KEY_UNREADABLE", "none of the certificates belongs to the private key")
  const chain: X509Certificate[] = []
  for (let next = leaf; next !== undefined && !chain.includes(next);) {
    chain.push(next)
    const below = next
    next = certificates.find((other) => other !== below && below.checkIssued(other))
  }
  return { privateKey, chain: chain.map(({ raw }) => Uint8Array.from(raw)) }
}

function malformed(fault: string): AppError {
  return new AppError("CERTIFICATE_MALFORMED", `the file ${fault}`)
}

function wrongPassphrase(): AppError {
  return new AppError("CREDENTIAL_PASSPHRASE", "the passphrase does not open the file")
}
