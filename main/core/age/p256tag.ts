/** The p256tag recipient type (C2SP age.md, "The tagged recipient types"): `age1tag1…`, for keys in TPMs and tokens. */
import { createHash } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { concat, isEqual, toRawBase64, wipe } from "../bytes/bytes.ts"
import { toBech32 } from "./bech32.ts"
import { dhkemP256Secret, hkdfExtract, hpkeOpen, hpkeSeal, KEM } from "./hpke.ts"
import { ephemeralEcdh, POINT_BYTES, toCompressed, toUncompressed, type P256Key } from "./p256.ts"
import { argument, stanzasOfType, type Identity, type Recipient } from "./recipient.ts"

const TYPE = "p256tag"
const INFO = "age-encryption.org/p256tag"
const TAG_ARGUMENT_BYTES = 4

/** `point`: the public key in either form. Throws RECIPIENT_INVALID when it is not on the curve. */
export function p256TagRecipient(point: Uint8Array): Recipient {
  const publicPoint = toUncompressed(point)
  const compressed = toCompressed(point)
  if (publicPoint === null || compressed === null)
    throw new AppError("RECIPIENT_INVALID", "the key is not a P-256 point")
  return {
    type: TYPE,
    text: toBech32("age1tag", compressed),
    wrap(fileKey, random) {
      const { share, secret } = ephemeralEcdh(publicPoint, random)
      const kemSecret = dhkemP256Secret(secret, share, publicPoint)
      try {
        return {
          type: TYPE,
          args: [toRawBase64(recipientTag(share, compressed, INFO)), toRawBase64(share)],
          body: hpkeSeal(KEM.dhkemP256, kemSecret, INFO, fileKey),
        }
      } finally {
        wipe(secret, kemSecret)
      }
    },
  }
}

export function p256TagIdentity(key: P256Key): Identity {
  const compressed = toCompressed(key.publicPoint)
  if (compressed === null) throw new AppError("IDENTITY_INVALID", "the key is not a P-256 point")
  return {
    async unwrap(stanzas) {
      for (const { values, body } of stanzasOfType(stanzas, TYPE, [TAG_ARGUMENT_BYTES, POINT_BYTES])) {
        const share = checkedShare(argument(values, 1), TYPE)
        if (!isEqual(argument(values, 0), recipientTag(share, compressed, INFO))) continue
        const secret = await key.ecdh(share)
        const kemSecret = dhkemP256Secret(secret, share, key.publicPoint)
        const fileKey = hpkeOpen(KEM.dhkemP256, kemSecret, INFO, body)
        wipe(secret, kemSecret)
        if (fileKey !== null) return fileKey
      }
      return null
    },
  }
}

/**
 * The 4-byte hint by which a recipient finds its stanza: HKDF-Extract with the type's label as salt, over the
 * encapsulation and the first four bytes of the SHA-256 of `keyBytes` (the compressed point; the hybrid uses its own form).
 */
export function recipientTag(encapsulation: Uint8Array, keyBytes: Uint8Array, label: string): Uint8Array {
  const keyHash = createHash("sha256").update(keyBytes).digest().subarray(0, TAG_ARGUMENT_BYTES)
  return hkdfExtract(label, concat(encapsulation, keyHash)).subarray(0, TAG_ARGUMENT_BYTES)
}

/** A share that is on the curve: a chip must never see an invalid point, since its answer could leak the key. */
export function checkedShare(share: Uint8Array, type: string): Uint8Array {
  const point = toUncompressed(share)
  if (point === null)
    throw new AppError("AGE_MALFORMED", `a share in a stanza of type ${type} is not a P-256 point`)
  return point
}
