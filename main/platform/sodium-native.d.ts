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
  }
  export default sodium
}
