/** The mlkem768x25519 recipient type (C2SP age.md; X-Wing): `age1pq1…` and `AGE-SECRET-KEY-PQ-1…`. */
import { AppError } from "../../contract/errors.ts"
import { concat, toRawBase64, wipe } from "../bytes/bytes.ts"
import { toBech32 } from "./bech32.ts"
import { hpkeOpen, hpkeSeal, KEM } from "./hpke.ts"
import {
  combineSecrets,
  expandSeed,
  MLKEM_CIPHERTEXT_BYTES,
  MLKEM_PUBLIC_BYTES,
  MLKEM_SEED_BYTES,
  mlkemDecapsulate,
  mlkemEncapsulate,
  mlkemKeyPair,
} from "./mlkem.ts"
import { argument, stanzasOfType, type Identity, type Random, type Recipient } from "./recipient.ts"
import { x25519, x25519PublicKey } from "./x25519.ts"

const TYPE = "mlkem768x25519"
const INFO = "age-encryption.org/mlkem768x25519"
const LABEL = "\\.//^\\"

/** ML-KEM encapsulation key ‖ X25519 public key, bytes. */
export const PQ_RECIPIENT_BYTES = MLKEM_PUBLIC_BYTES + 32
const ENCAPSULATION_BYTES = MLKEM_CIPHERTEXT_BYTES + 32

/** `publicKey`: 1216 bytes. Throws RECIPIENT_INVALID when the ML-KEM half is not reduced. */
export function pqRecipient(publicKey: Uint8Array): Recipient {
  const latticeKey = publicKey.subarray(0, MLKEM_PUBLIC_BYTES)
  const curveKey = publicKey.subarray(MLKEM_PUBLIC_BYTES)
  return {
    type: TYPE,
    text: toBech32("age1pq", publicKey),
    wrap(fileKey, random) {
      const lattice = mlkemEncapsulate(latticeKey, random)
      if (lattice === null) throw new AppError("RECIPIENT_INVALID", "the ML-KEM key is not valid")
      const ephemeral = random(32)
      const share = x25519PublicKey(ephemeral)
      const curveSecret = x25519(ephemeral, curveKey)
      const secret = combineSecrets(lattice.secret, curveSecret, share, curveKey, LABEL)
      try {
        return {
          type: TYPE,
          args: [toRawBase64(concat(lattice.ciphertext, share))],
          body: hpkeSeal(KEM.mlkem768X25519, secret, INFO, fileKey),
        }
      } finally {
        wipe(ephemeral, curveSecret, lattice.secret, secret)
      }
    },
  }
}

/** `seed`: 32 bytes. */
export function pqIdentity(seed: Uint8Array): Identity {
  const { lattice, curveSecretKey } = expand(seed)
  const curveKey = x25519PublicKey(curveSecretKey)
  return {
    async unwrap(stanzas) {
      for (const { values, body } of stanzasOfType(stanzas, TYPE, [ENCAPSULATION_BYTES])) {
        const encapsulation = argument(values, 0)
        const share = encapsulation.subarray(MLKEM_CIPHERTEXT_BYTES)
        const latticeSecret = mlkemDecapsulate(
          encapsulation.subarray(0, MLKEM_CIPHERTEXT_BYTES),
          lattice.secretKey,
        )
        if (latticeSecret === null) continue
        const curveSecret = x25519(curveSecretKey, share)
        const secret = combineSecrets(latticeSecret, curveSecret, share, curveKey, LABEL)
        const fileKey = hpkeOpen(KEM.mlkem768X25519, secret, INFO, body)
        wipe(latticeSecret, curveSecret, secret)
        if (fileKey !== null) return fileKey
      }
      return null
    },
  }
}

export function generatePq(random: Random): { readonly seed: Uint8Array; readonly recipient: string } {
  const seed = random(32)
  return { seed, recipient: pqRecipientOf(seed) }
}

/** The public text for a seed (32 bytes). */
function pqRecipientOf(seed: Uint8Array): string {
  const { lattice, curveSecretKey } = expand(seed)
  return toBech32("age1pq", concat(lattice.publicKey, x25519PublicKey(curveSecretKey)))
}

export function pqIdentityText(seed: Uint8Array): string {
  return toBech32("age-secret-key-pq-", seed).toUpperCase()
}

function expand(seed: Uint8Array) {
  const expanded = expandSeed(seed, MLKEM_SEED_BYTES + 32)
  return {
    lattice: mlkemKeyPair(expanded.subarray(0, MLKEM_SEED_BYTES)),
    curveSecretKey: expanded.subarray(MLKEM_SEED_BYTES),
  }
}
