/** P-256 as age's tag recipients need it: points, and one ECDH that may happen in a chip. */
import { createECDH, ECDH } from "node:crypto"
import { wipe } from "../bytes/bytes.ts"
import type { Random } from "./recipient.ts"

/** Uncompressed point: 0x04 ‖ x ‖ y. */
export const POINT_BYTES = 65
/** Compressed point: 0x02 or 0x03 ‖ x. */
export const COMPRESSED_POINT_BYTES = 33

/**
 * A P-256 key whose private half stays where it is: software, TPM or token. `ecdh` gets an uncompressed point that was
 * checked to be on the curve (65 bytes) and returns the shared x-coordinate, 32 bytes, left-padded.
 */
export interface P256Key {
  /** Uncompressed, 65 bytes. */
  readonly publicPoint: Uint8Array
  ecdh(point: Uint8Array): Promise<Uint8Array>
}

/** A key in this process's memory. `scalar`: 32 bytes from 1 to n - 1. */
export function softwareP256(scalar: Uint8Array): P256Key {
  const key = createECDH(CURVE)
  key.setPrivateKey(scalar)
  return { publicPoint: key.getPublicKey(), ecdh: async (point) => key.computeSecret(point) }
}

/** A fresh key pair used for one encapsulation: its point (65 bytes) and the secret shared with `point` (32 bytes). */
export function ephemeralEcdh(
  point: Uint8Array,
  random: Random,
): { readonly share: Uint8Array; readonly secret: Uint8Array } {
  const key = createECDH(CURVE)
  const scalar = randomScalar(random)
  key.setPrivateKey(scalar)
  wipe(scalar)
  return { share: key.getPublicKey(), secret: key.computeSecret(point) }
}

/** A scalar from 1 to n - 1 by rejection (FIPS 186-5 A.2.2). */
function randomScalar(random: Random): Uint8Array {
  for (;;) {
    const scalar = random(32)
    if (isScalar(scalar)) return scalar
  }
}

/** Compared as bytes: numbers and texts of a secret could not be wiped. */
function isScalar(bytes: Uint8Array): boolean {
  return bytes.length === 32 && bytes.some((byte) => byte !== 0) && Buffer.compare(bytes, ORDER) < 0
}

/** The point uncompressed (65 bytes), or `null` when it is not a point on the curve in the length given. */
export function toUncompressed(point: Uint8Array): Uint8Array | null {
  return convert(point, "uncompressed")
}

/** The point compressed (33 bytes), or `null` when it is not a point on the curve. */
export function toCompressed(point: Uint8Array): Uint8Array | null {
  return convert(point, "compressed")
}

const CURVE = "prime256v1"
const ORDER = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex")

function convert(point: Uint8Array, form: "compressed" | "uncompressed"): Uint8Array | null {
  // The hybrid encodings (06, 07) and the point at infinity (00) are valid to OpenSSL and never to us.
  const head = point[0]
  const isKnown =
    (point.length === POINT_BYTES && head === 4) ||
    (point.length === COMPRESSED_POINT_BYTES && (head === 2 || head === 3))
  if (!isKnown) return null
  try {
    const converted = ECDH.convertKey(point, CURVE, undefined, undefined, form)
    return typeof converted === "string" ? null : Uint8Array.from(converted)
  } catch {
    return null
  }
}
