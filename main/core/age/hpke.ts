/**
 * The part of HPKE (RFC 9180, base mode) that age recipients use: KDF HKDF-SHA256, AEAD ChaCha20-Poly1305, one message.
 * The KEM's shared secret comes in as an argument, so the elliptic-curve step may happen in a chip.
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto"
import { concat, toUtf8, wipe } from "../bytes/bytes.ts"
import { TAG_BYTES } from "./stream.ts"

/** KEM identifiers of the HPKE registry and draft-ietf-hpke-pq. */
export const KEM = { dhkemP256: 0x0010, mlkem768P256: 0x0050, mlkem768X25519: 0x647a } as const
const KDF_HKDF_SHA256 = 0x0001
const AEAD_CHACHA20_POLY1305 = 0x0003

/** DHKEM(P-256, HKDF-SHA256).ExtractAndExpand (RFC 9180 4.1): the KEM secret from the raw ECDH x-coordinate (32 bytes). */
export function dhkemP256Secret(dh: Uint8Array, enc: Uint8Array, recipient: Uint8Array): Uint8Array {
  const suite = concat(toUtf8("KEM"), u16(KEM.dhkemP256))
  const prk = labeledExtract(suite, new Uint8Array(0), "eae_prk", dh)
  try {
    return labeledExpand(suite, prk, "shared_secret", concat(enc, recipient), 32)
  } finally {
    wipe(prk)
  }
}

/** Single-shot seal with empty aad and sequence number 0. Returns ciphertext ‖ tag. */
export function hpkeSeal(kem: number, secret: Uint8Array, info: string, plaintext: Uint8Array): Uint8Array {
  const { key, nonce } = keySchedule(kem, secret, toUtf8(info))
  try {
    const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_BYTES })
    return concat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag())
  } finally {
    wipe(key)
  }
}

/** Single-shot open, or `null` when the ciphertext is not authentic. */
export function hpkeOpen(
  kem: number,
  secret: Uint8Array,
  info: string,
  sealed: Uint8Array,
): Uint8Array | null {
  if (sealed.length < TAG_BYTES) return null
  const { key, nonce } = keySchedule(kem, secret, toUtf8(info))
  try {
    return openAead(key, nonce, sealed)
  } finally {
    wipe(key)
  }
}

/** ChaCha20-Poly1305 open of ciphertext ‖ tag, or `null` when it is not authentic. */
export function openAead(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  aad?: Uint8Array,
): Uint8Array | null {
  if (sealed.length < TAG_BYTES) return null
  const end = sealed.length - TAG_BYTES
  const decipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_BYTES })
  if (aad !== undefined) decipher.setAAD(aad, { plaintextLength: end })
  decipher.setAuthTag(sealed.subarray(end))
  const opened = decipher.update(sealed.subarray(0, end))
  try {
    decipher.final()
    return opened
  } catch {
    // The only failure of final() is a tag that does not match.
    wipe(opened)
    return null
  }
}

/** RFC 9180 5.1 KeySchedule, mode_base, empty psk. Exposed for the conformance vectors. */
export function keySchedule(
  kem: number,
  secret: Uint8Array,
  info: Uint8Array,
): { readonly key: Uint8Array; readonly nonce: Uint8Array; readonly exporter: Uint8Array } {
  const suite = concat(toUtf8("HPKE"), u16(kem), u16(KDF_HKDF_SHA256), u16(AEAD_CHACHA20_POLY1305))
  const none = new Uint8Array(0)
  const context = concat(
    Uint8Array.of(0),
    labeledExtract(suite, none, "psk_id_hash", none),
    labeledExtract(suite, none, "info_hash", info),
  )
  const prk = labeledExtract(suite, secret, "secret", none)
  try {
    return {
      key: labeledExpand(suite, prk, "key", context, 32),
      nonce: labeledExpand(suite, prk, "base_nonce", context, 12),
      exporter: labeledExpand(suite, prk, "exp", context, 32),
    }
  } finally {
    wipe(prk)
  }
}

function labeledExtract(suite: Uint8Array, salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array {
  return hkdfExtract(salt, toUtf8("HPKE-v1"), suite, toUtf8(label), ikm)
}

/** HKDF-Expand for outputs of at most one block (32 bytes), which is all these suites ask for. */
function labeledExpand(
  suite: Uint8Array,
  prk: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const labeled = concat(u16(length), toUtf8("HPKE-v1"), suite, toUtf8(label), info, Uint8Array.of(1))
  const block = createHmac("sha256", prk).update(labeled).digest()
  const out = Uint8Array.from(block.subarray(0, length))
  wipe(block)
  return out
}

/** HKDF-Extract with SHA-256 (RFC 5869 2.2): HMAC keyed by the salt. The parts are not joined: that would copy secrets. */
export function hkdfExtract(salt: Uint8Array | string, ...ikm: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac("sha256", salt)
  for (const part of ikm) hmac.update(part)
  return hmac.digest()
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff)
}
