/** What a TPM signs about itself: TPMS_ATTEST (TPM 2.0 Library, Part 2, 10.12) with its TPMT_SIGNATURE (11.3.4). */
import { verify, type KeyObject } from "node:crypto"
import { AppError } from "../../../contract/errors.ts"
import { isEqual } from "../../bytes/bytes.ts"
import { ATTRIBUTE, HASHES, type PublicArea, type TpmHash } from "./public-area.ts"
import { malformedStructure, StructureReader } from "./structure-reader.ts"

interface Attested {
  /** What the asker gave, so that an answer cannot be an old one. */
  readonly nonce: Uint8Array
  readonly resetCount: number
  readonly restartCount: number
  readonly firmwareVersion: bigint
}

export interface Certified extends Attested {
  readonly kind: "certify"
  /** Name of the key that is certified to be in this TPM. */
  readonly name: Uint8Array
}

export interface Quoted extends Attested {
  readonly kind: "quote"
  /** Registers by hash: bit i of the mask is register i. */
  readonly selection: readonly { readonly hash: TpmHash; readonly registers: readonly number[] }[]
  readonly digest: Uint8Array
}

/** Throws ATTESTATION_MALFORMED for bytes that no TPM made, and for other kinds than certify and quote. */
export function readAttestation(bytes: Uint8Array): Certified | Quoted {
  const reader = new StructureReader(bytes, "the attestation")
  // The TPM's own mark: a restricted key signs nothing from outside that starts with it.
  if (reader.u32() !== MAGIC) throw malformedStructure("the attestation was not made by a TPM")
  const type = reader.u16()
  reader.sized() // qualifiedSigner
  const nonce = reader.sized()
  reader.u64() // clock
  const resetCount = reader.u32()
  const restartCount = reader.u32()
  reader.u8() // safe
  const firmwareVersion = reader.u64()
  const common = { nonce, resetCount, restartCount, firmwareVersion }
  if (type === TYPE.certify) {
    const name = reader.sized()
    reader.sized() // qualifiedName
    reader.end()
    return { ...common, kind: "certify", name }
  }
  if (type !== TYPE.quote) throw malformedStructure(`the attestation is of type 0x${type.toString(16)}`)
  const selection = readSelection(reader)
  const digest = reader.sized()
  reader.end()
  return { ...common, kind: "quote", selection, digest }
}

/**
 * The certified key is in the same TPM as the attestation key, was made there, cannot leave it, and answers this nonce.
 * `key` is the public area of the key, `attestationKey` that of the key that signed. Throws ATTESTATION_REFUSED with
 * the first thing that is wrong.
 */
export function checkCertified(
  evidence: { readonly attestation: Uint8Array; readonly signature: Uint8Array },
  key: PublicArea,
  attestationKey: PublicArea,
  nonce: Uint8Array,
): Certified {
  checkAttestationKey(attestationKey)
  const attestation = checkSignedAttestation(evidence, attestationKey.publicKey, nonce)
  if (attestation.kind !== "certify") throw refused("the attestation certifies no key")
  if (!isEqual(attestation.name, key.name)) throw refused("the attestation is about another key")
  checkResident(key, "the key")
  return attestation
}

/**
 * A quote over exactly these registers of the SHA-256 bank, by a key that signs nothing its TPM did not make, to this nonce.
 * Throws ATTESTATION_REFUSED with the first thing that is wrong.
 */
export function checkQuoted(
  evidence: { readonly attestation: Uint8Array; readonly signature: Uint8Array },
  attestationKey: PublicArea,
  registers: readonly number[],
  nonce: Uint8Array,
): Quoted {
  checkAttestationKey(attestationKey)
  const attestation = checkSignedAttestation(evidence, attestationKey.publicKey, nonce)
  if (attestation.kind !== "quote") throw refused("the attestation is no quote")
  const [bank, ...more] = attestation.selection
  const isWhole =
    bank?.hash === "sha256" && more.length === 0 && bank.registers.join(" ") === registers.join(" ")
  if (!isWhole) throw refused("the quote is over other registers than those asked for")
  return attestation
}

/** An attestation key signs only what its TPM made, and lives and dies with it. */
export function checkAttestationKey(key: PublicArea): void {
  checkResident(key, "the attestation key")
  if (!has(key, ATTRIBUTE.restricted) || !has(key, ATTRIBUTE.sign) || has(key, ATTRIBUTE.decrypt)) {
    throw refused("the attestation key may sign things its TPM did not make")
  }
}

/** A signed attestation with this nonce. Throws ATTESTATION_REFUSED, ATTESTATION_MALFORMED. */
function checkSignedAttestation(
  { attestation, signature }: { readonly attestation: Uint8Array; readonly signature: Uint8Array },
  publicKey: KeyObject,
  nonce: Uint8Array,
): Certified | Quoted {
  if (!isSignedBy(publicKey, attestation, signature)) throw refused("the attestation's signature is wrong")
  const read = readAttestation(attestation)
  if (!isEqual(read.nonce, nonce)) throw refused("the attestation answers another question")
  return read
}

const MAGIC = 0xff544347
const TYPE = { certify: 0x8017, quote: 0x8018 } as const
const SIGNATURE = { rsassa: 0x0014, ecdsa: 0x0018 } as const
/** Part 2, 10.6.2: a TPM has no more banks than hashes. */
const MAX_BANKS = 16

function readSelection(reader: StructureReader): Quoted["selection"] {
  const count = reader.u32()
  if (count > MAX_BANKS) throw malformedStructure("the quote selects too many banks")
  return Array.from({ length: count }, () => {
    const algorithm = reader.u16()
    const hash = HASHES.get(algorithm)
    if (hash === undefined) throw malformedStructure("the quote is over a bank that cannot be judged here")
    const mask = reader.take(reader.u8())
    const registers = [...mask].flatMap((byte, index) =>
      [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit) & 1).map((bit) => index * 8 + bit),
    )
    return { hash, registers }
  })
}

function isSignedBy(publicKey: KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  const reader = new StructureReader(signature, "the signature")
  const scheme = reader.u16()
  const hash = HASHES.get(reader.u16())
  if (hash === undefined) throw malformedStructure("the signature's hash cannot be used here")
  if (scheme === SIGNATURE.ecdsa) {
    const size = publicKey.asymmetricKeyDetails?.namedCurve === "secp384r1" ? 48 : 32
    const parts = [reader.sized(), reader.sized()]
    reader.end()
    if (publicKey.asymmetricKeyType !== "ec" || parts.some((part) => part.length > size)) return false
    const raw = Buffer.alloc(size * 2)
    for (const [index, part] of parts.entries()) raw.set(part, size * (index + 1) - part.length)
    return verify(hash, message, { key: publicKey, dsaEncoding: "ieee-p1363" }, raw)
  }
  if (scheme !== SIGNATURE.rsassa) throw malformedStructure("the signature's scheme cannot be used here")
  const bytes = reader.sized()
  reader.end()
  return publicKey.asymmetricKeyType === "rsa" && verify(hash, message, publicKey, bytes)
}

function checkResident(key: PublicArea, what: string): void {
  if (!has(key, ATTRIBUTE.fixedTpm) || !has(key, ATTRIBUTE.fixedParent))
    throw refused(`${what} can leave its TPM`)
  if (!has(key, ATTRIBUTE.sensitiveDataOrigin)) throw refused(`${what} was made outside of its TPM`)
}

function has(key: PublicArea, attribute: number): boolean {
  return (key.attributes & attribute) !== 0
}

function refused(message: string): AppError {
  return new AppError("ATTESTATION_REFUSED", message)
}
