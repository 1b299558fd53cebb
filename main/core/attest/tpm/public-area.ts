/** What a TPM says of a key: its public area (TPMT_PUBLIC, TPM 2.0 Library, Part 2, 12.2) and the name made from it. */
import { createHash, createPublicKey, type KeyObject } from "node:crypto"
import { concat } from "../../bytes/bytes.ts"
import { malformedStructure, StructureReader } from "./structure-reader.ts"

/** Part 2, 8.3 TPMA_OBJECT. */
export const ATTRIBUTE = {
  fixedTpm: 1 << 1,
  fixedParent: 1 << 4,
  sensitiveDataOrigin: 1 << 5,
  restricted: 1 << 16,
  decrypt: 1 << 17,
  sign: 1 << 18,
} as const

export type TpmHash = "sha256" | "sha384" | "sha512"

interface CommonArea {
  /** The hash names are made with. */
  readonly nameHash: TpmHash
  /** TPMA_OBJECT bits, see ATTRIBUTE. */
  readonly attributes: number
  /** Key size of the AES-CFB that protects what is stored under this key, bits; `null` when it has none. */
  readonly symmetricBits: number | null
  readonly publicKey: KeyObject
  /** Hash identifier ‖ digest of the public area (Part 1, 16). */
  readonly name: Uint8Array
}

export type PublicArea = CommonArea &
  (
    | { readonly kind: "rsa" }
    | {
        readonly kind: "ec"
        readonly curve: "P-256" | "P-384"
        /** Coordinates, left-padded to the size of the field. */
        readonly x: Uint8Array
        readonly y: Uint8Array
      }
  )

/** Reads a TPMT_PUBLIC of an RSA or EC key. Throws ATTESTATION_MALFORMED, also for kinds of keys that cannot be used here. */
export function readPublicArea(bytes: Uint8Array): PublicArea {
  const reader = new StructureReader(bytes, "the public area")
  const type = reader.u16()
  const nameAlgorithm = reader.u16()
  const nameHash = HASHES.get(nameAlgorithm)
  if (nameHash === undefined) throw unusable("name hash", nameAlgorithm)
  const attributes = reader.u32()
  reader.sized() // authPolicy
  const symmetricBits = readSymmetric(reader)
  skipScheme(reader)
  const common = { nameHash, attributes, symmetricBits, name: nameOf(nameAlgorithm, nameHash, bytes) }
  if (type === ALGORITHM.rsa) {
    const bits = reader.u16()
    const exponent = reader.u32()
    const modulus = reader.sized()
    reader.end()
    if (modulus.length * 8 !== bits) throw malformedStructure("an RSA key of another size than it says")
    return { ...common, kind: "rsa", publicKey: rsaKey(modulus, exponent === 0 ? 65_537 : exponent) }
  }
  if (type !== ALGORITHM.ecc) throw unusable("kind of key", type)
  const curveId = reader.u16()
  const curve = CURVES.get(curveId)
  if (curve === undefined) throw unusable("curve", curveId)
  skipScheme(reader) // key derivation, of the same shape
  const x = padded(reader.sized(), curve.bytes)
  const y = padded(reader.sized(), curve.bytes)
  reader.end()
  return { ...common, kind: "ec", curve: curve.name, x, y, publicKey: ecKey(curve.name, x, y) }
}

/** TPM_ALG_ID values (Part 2, 6.3). */
const ALGORITHM = { rsa: 0x0001, null: 0x0010, ecc: 0x0023, aes: 0x0006, cfb: 0x0043 } as const
/** RSAES has no details, ECDAA a hash and a counter; every other scheme has one hash. */
const SCHEME_RSAES = 0x0015
const SCHEME_ECDAA = 0x001a

export const HASHES: ReadonlyMap<number, TpmHash> = new Map([
  [0x000b, "sha256"],
  [0x000c, "sha384"],
  [0x000d, "sha512"],
])

const CURVES: ReadonlyMap<number, { readonly name: "P-256" | "P-384"; readonly bytes: number }> = new Map([
  [0x0003, { name: "P-256", bytes: 32 }],
  [0x0004, { name: "P-384", bytes: 48 }],
])

function nameOf(algorithm: number, hash: TpmHash, publicArea: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(algorithm >> 8, algorithm & 0xff), createHash(hash).update(publicArea).digest())
}

function readSymmetric(reader: StructureReader): number | null {
  const algorithm = reader.u16()
  if (algorithm === ALGORITHM.null) return null
  const bits = reader.u16()
  const mode = reader.u16()
  if (algorithm !== ALGORITHM.aes || mode !== ALGORITHM.cfb) throw unusable("symmetric algorithm", algorithm)
  return bits
}

function skipScheme(reader: StructureReader): void {
  const scheme = reader.u16()
  if (scheme === ALGORITHM.null || scheme === SCHEME_RSAES) return
  reader.u16()
  if (scheme === SCHEME_ECDAA) reader.u16()
}

/** TPMs may leave out leading zeros. */
function padded(coordinate: Uint8Array, size: number): Uint8Array {
  if (coordinate.length > size) throw malformedStructure("a coordinate is longer than its field")
  const out = new Uint8Array(size)
  out.set(coordinate, size - coordinate.length)
  return out
}

function rsaKey(modulus: Uint8Array, exponent: number): KeyObject {
  const e = Buffer.alloc(4)
  e.writeUInt32BE(exponent)
  const firstByte = e.findIndex((byte) => byte !== 0)
  return importKey({ kty: "RSA", n: base64Url(modulus), e: base64Url(e.subarray(firstByte)) })
}

function ecKey(curve: string, x: Uint8Array, y: Uint8Array): KeyObject {
  return importKey({ kty: "EC", crv: curve, x: base64Url(x), y: base64Url(y) })
}

function importKey(jwk: Record<string, string>): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: "jwk" })
  } catch (error) {
    throw malformedStructureBecause("the public area holds no key", error)
  }
}

function malformedStructureBecause(message: string, cause: unknown): Error {
  const fault = malformedStructure(message)
  fault.cause = cause
  return fault
}

function base64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url")
}

function unusable(what: string, value: number): Error {
  return malformedStructure(`the ${what} 0x${value.toString(16).padStart(4, "0")} cannot be used here`)
}
