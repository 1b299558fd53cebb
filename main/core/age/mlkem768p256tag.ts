/**
 * The mlkem768p256tag recipient type (C2SP age.md, "The tagged recipient types"): `age1tagpq1…`. The P-256 half may live
 * in a chip; the ML-KEM seed is software, sealed by the chip where that is possible.
 */
import { AppError } from "../../contract/errors.ts"
import { concat, isEqual, toRawBase64, wipe } from "../bytes/bytes.ts"
import { toBech32 } from "./bech32.ts"
import { hpkeOpen, hpkeSeal, KEM } from "./hpke.ts"
import {
  combineSecrets,
  MLKEM_CIPHERTEXT_BYTES,
  MLKEM_PUBLIC_BYTES,
  mlkemDecapsulate,
  mlkemEncapsulate,
  mlkemKeyPair,
} from "./mlkem.ts"
import { ephemeralEcdh, POINT_BYTES, toUncompressed, type P256Key } from "./p256.ts"
import { checkedShare, recipientTag } from "./p256tag.ts"
import { argument, stanzasOfType, type Identity, type Recipient } from "./recipient.ts"

const TYPE = "mlkem768p256tag"
const INFO = "age-encryption.org/mlkem768p256tag"
const LABEL = "MLKEM768-P256"

/** ML-KEM encapsulation key ‖ uncompressed P-256 point, bytes. */
export const PQ_TAG_RECIPIENT_BYTES = MLKEM_PUBLIC_BYTES + POINT_BYTES
const ENCAPSULATION_BYTES = MLKEM_CIPHERTEXT_BYTES + POINT_BYTES

/** `publicKey`: 1249 bytes. Throws RECIPIENT_INVALID when a half is not valid. */
export function pqTagRecipient(publicKey: Uint8Array): Recipient {
  const latticeKey = publicKey.subarray(0, MLKEM_PUBLIC_BYTES)
  const point = publicKey.subarray(MLKEM_PUBLIC_BYTES)
  if (point.length !== POINT_BYTES || toUncompressed(point) === null) {
    throw new AppError("RECIPIENT_INVALID", "the key is not a P-256 point")
  }
  return {
    type: TYPE,
    text: toBech32("age1tagpq", publicKey),
    wrap(fileKey, random) {
      const lattice = mlkemEncapsulate(latticeKey, random)
      if (lattice === null) throw new AppError("RECIPIENT_INVALID", "the ML-KEM key is not valid")
      const { share, secret: curveSecret } = ephemeralEcdh(point, random)
      const secret = combineSecrets(lattice.secret, curveSecret, share, point, LABEL)
      const encapsulation = concat(lattice.ciphertext, share)
      try {
        return {
          type: TYPE,
          args: [toRawBase64(recipientTag(encapsulation, point, INFO)), toRawBase64(encapsulation)],
          body: hpkeSeal(KEM.mlkem768P256, secret, INFO, fileKey),
        }
      } finally {
        wipe(curveSecret, lattice.secret, secret)
      }
    },
  }
}

/** `seed`: the ML-KEM seed d ‖ z, 64 bytes; `key`: the P-256 half, wherever it lives. */
export function pqTagIdentity(seed: Uint8Array, key: P256Key): Identity {
  const lattice = mlkemKeyPair(seed)
  return {
    async unwrap(stanzas) {
      for (const { values, body } of stanzasOfType(stanzas, TYPE, [4, ENCAPSULATION_BYTES])) {
        const encapsulation = argument(values, 1)
        const share = checkedShare(encapsulation.subarray(MLKEM_CIPHERTEXT_BYTES), TYPE)
        if (!isEqual(argument(values, 0), recipientTag(encapsulation, key.publicPoint, INFO))) continue
        const latticeSecret = mlkemDecapsulate(
          encapsulation.subarray(0, MLKEM_CIPHERTEXT_BYTES),
          lattice.secretKey,
        )
        if (latticeSecret === null) continue
        const curveSecret = await key.ecdh(share)
        const secret = combineSecrets(latticeSecret, curveSecret, share, key.publicPoint, LABEL)
        const fileKey = hpkeOpen(KEM.mlkem768P256, secret, INFO, body)
        wipe(latticeSecret, curveSecret, secret)
        if (fileKey !== null) return fileKey
      }
      return null
    },
  }
}
