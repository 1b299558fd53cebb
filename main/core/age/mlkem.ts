/** ML-KEM-768 (FIPS 203) and the combiner of the hybrid KEMs (filippo.io/hpke-pq, "Hybrid KEMs"). */
import { createHash } from "node:crypto"
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js"
import { AppError } from "../../contract/errors.ts"
import type { Random } from "./recipient.ts"

/** Encapsulation key, bytes. */
export const MLKEM_PUBLIC_BYTES = 1184
/** Ciphertext, bytes. */
export const MLKEM_CIPHERTEXT_BYTES = 1088
/** Seed d ‖ z, bytes. */
export const MLKEM_SEED_BYTES = 64

export interface MlkemKeyPair {
  readonly publicKey: Uint8Array
  readonly secretKey: Uint8Array
}

/** FIPS 203 algorithm 16 from the seed d ‖ z (64 bytes). Throws IDENTITY_INVALID for a seed of another length. */
export function mlkemKeyPair(seed: Uint8Array): MlkemKeyPair {
  if (seed.length !== MLKEM_SEED_BYTES)
    throw new AppError("IDENTITY_INVALID", `an ML-KEM seed has ${MLKEM_SEED_BYTES} bytes`)
  return ml_kem768.keygen(seed)
}

/** The ciphertext (1088 bytes) and shared secret (32 bytes), or `null` when the key fails FIPS 203's modulus check. */
export function mlkemEncapsulate(
  publicKey: Uint8Array,
  random: Random,
): { readonly ciphertext: Uint8Array; readonly secret: Uint8Array } | null {
  if (publicKey.length !== MLKEM_PUBLIC_BYTES) return null
  try {
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, random(32))
    return { ciphertext: cipherText, secret: sharedSecret }
  } catch {
    // With lengths right, the only thing it can refuse is a coefficient not reduced modulo q.
    return null
  }
}

/** The shared secret, 32 bytes; for a wrong ciphertext a pseudo-random one (implicit rejection), or `null` for a wrong length. */
export function mlkemDecapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array | null {
  if (ciphertext.length !== MLKEM_CIPHERTEXT_BYTES) return null
  return ml_kem768.decapsulate(ciphertext, secretKey)
}

/** SHA3-256(ss_PQ ‖ ss_T ‖ ct_T ‖ ek_T ‖ label). */
export function combineSecrets(
  postQuantum: Uint8Array,
  traditional: Uint8Array,
  traditionalShare: Uint8Array,
  traditionalKey: Uint8Array,
  label: string,
): Uint8Array {
  // Not joined first: that would leave a copy of both secrets.
  return createHash("sha3-256")
    .update(postQuantum)
    .update(traditional)
    .update(traditionalShare)
    .update(traditionalKey)
    .update(label, "utf8")
    .digest()
}

/** SHAKE256 key expansion of a hybrid seed. */
export function expandSeed(seed: Uint8Array, bytes: number): Uint8Array {
  return createHash("shake256", { outputLength: bytes }).update(seed).digest()
}
