/** The functions of sodium-native that we use; see libsodium's documentation of the same names. */
declare module "sodium-native" {
  const sodium: {
    /** Writes ciphertext ‖ tag; returns its length. */
    crypto_aead_chacha20poly1305_ietf_encrypt(
      ciphertext: Buffer,
      message: Buffer,
      additional: Buffer | null,
      secretNonce: null,
      nonce: Buffer,
      key: Buffer,
    ): number
    /** Throws when the tag does not match. */
    crypto_aead_chacha20poly1305_ietf_decrypt(
      message: Buffer,
      secretNonce: null,
      ciphertext: Buffer,
      additional: Buffer | null,
      nonce: Buffer,
      key: Buffer,
    ): number
    readonly crypto_pwhash_ALG_ARGON2ID13: number
    /** Fills `out`; runs on libuv's threads. */
    readonly crypto_box_PUBLICKEYBYTES: number
    readonly crypto_box_SECRETKEYBYTES: number
    /** What a sealed message is longer than its text, bytes. */
    readonly crypto_box_SEALBYTES: number
    crypto_box_keypair(publicKey: Buffer, secretKey: Buffer): void
    crypto_box_seal(sealed: Buffer, message: Buffer, publicKey: Buffer): void
    /** False when the message was not sealed to the key. */
    crypto_box_seal_open(message: Buffer, sealed: Buffer, publicKey: Buffer, secretKey: Buffer): boolean

    crypto_pwhash_async(
      out: Buffer,
      passphrase: Buffer,
      salt: Buffer,
      operations: number,
      memoryBytes: number,
      algorithm: number,
    ): Promise<void>
    /** Guarded, locked pages. */
    sodium_malloc(size: number): Buffer
    sodium_free(buffer: Buffer): void
    sodium_mprotect_noaccess(buffer: Buffer): void
    sodium_mprotect_readonly(buffer: Buffer): void
    sodium_mprotect_readwrite(buffer: Buffer): void
  }
  export default sodium
}
