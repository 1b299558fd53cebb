import { getCiphers } from "node:crypto"
import sodium from "sodium-native"
import { wipe } from "../../core/bytes/bytes.ts"
import {
  CHUNK_BYTES,
  chunkNonce,
  forEachChunk,
  nodeChunkCipher,
  SEALED_CHUNK_BYTES,
  TAG_BYTES,
  type ChunkCipher,
} from "../../core/age/stream.ts"

/** The chunk cipher without our addon: node:crypto, or libsodium where Node's OpenSSL lacks ChaCha20-Poly1305. */
export function portableCipher(): ChunkCipher {
  return getCiphers().includes("chacha20-poly1305") ? nodeChunkCipher : sodiumChunkCipher
}

/** The cipher over libsodium's crypto_aead_chacha20poly1305_ietf. */
export const sodiumChunkCipher: ChunkCipher = {
  name: "sodium",
  seal(key, firstChunk, endsFile, plain, sealed) {
    let to = 0
    forEachChunk(plain.length, CHUNK_BYTES, endsFile, (index, from, size, isLast) => {
      const out = asBuffer(sealed.subarray(to, to + size + TAG_BYTES))
      const nonce = asBuffer(chunkNonce(firstChunk + index, isLast))
      const chunk = asBuffer(plain.subarray(from, from + size))
      sodium.crypto_aead_chacha20poly1305_ietf_encrypt(out, chunk, null, null, nonce, asBuffer(key))
      to += size + TAG_BYTES
    })
    return to
  },
  open(key, firstChunk, endsFile, sealed, plain) {
    let to = 0
    let failed = -1
    forEachChunk(sealed.length, SEALED_CHUNK_BYTES, endsFile, (index, from, size, isLast) => {
      if (failed >= 0) return
      const out = asBuffer(plain.subarray(to, to + size - TAG_BYTES))
      const nonce = asBuffer(chunkNonce(firstChunk + index, isLast))
      try {
        const chunk = asBuffer(sealed.subarray(from, from + size))
        sodium.crypto_aead_chacha20poly1305_ietf_decrypt(out, null, chunk, null, nonce, asBuffer(key))
      } catch {
        // With the lengths right, the only failure is a tag that does not match.
        failed = index
        wipe(plain.subarray(0, to + size - TAG_BYTES))
        return
      }
      to += size - TAG_BYTES
    })
    return failed < 0 ? to : -1 - failed
  },
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
