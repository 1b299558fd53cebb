/** The public test keys of age's tag plugin (test/vectors/age-p256tag). Never keys to trust. */
import { readFileSync } from "node:fs"
import { expandSeed, MLKEM_SEED_BYTES } from "../../main/core/age/mlkem.ts"
import { pqTagIdentity } from "../../main/core/age/mlkem768p256tag.ts"
import { softwareP256 } from "../../main/core/age/p256.ts"
import { p256TagIdentity } from "../../main/core/age/p256tag.ts"
import type { Identity } from "../../main/core/age/recipient.ts"
import { vector } from "./vectors.ts"

interface TagVectors {
  readonly recipient_p256tag: string
  readonly p256_private_scalar_hex: string
  readonly recipient_mlkem768p256tag: string
  readonly mlkem768p256_seed_hex: string
  readonly files: Readonly<
    Record<string, { readonly plaintext_sha256: string; readonly plaintext_len: number }>
  >
}

export const tagVectors = JSON.parse(
  readFileSync(vector("age-p256tag", "vectors.json"), "utf8"),
) as TagVectors // the form SOURCE.txt describes

export const tagScalar = Uint8Array.from(Buffer.from(tagVectors.p256_private_scalar_hex, "hex"))

/** The hybrid seed's halves (filippo.io/hpke-pq): the ML-KEM seed d ‖ z, then the P-256 scalar. */
export const pqTagSeed = expandHybridSeed(Buffer.from(tagVectors.mlkem768p256_seed_hex, "hex"))

export function tagIdentities(): readonly Identity[] {
  return [
    p256TagIdentity(softwareP256(tagScalar)),
    pqTagIdentity(pqTagSeed.lattice, softwareP256(pqTagSeed.scalar)),
  ]
}

/**
 * The expansion of a 32-byte hybrid seed with P-256. The scalar is the first of four 32-byte candidates below the order;
 * a first candidate is refused once in 2^32 keys, so these vectors always take it.
 */
export function expandHybridSeed(seed: Uint8Array): {
  readonly lattice: Uint8Array
  readonly scalar: Uint8Array
} {
  const expanded = expandSeed(seed, MLKEM_SEED_BYTES + 128)
  return {
    lattice: expanded.subarray(0, MLKEM_SEED_BYTES),
    scalar: expanded.subarray(MLKEM_SEED_BYTES, MLKEM_SEED_BYTES + 32),
  }
}
