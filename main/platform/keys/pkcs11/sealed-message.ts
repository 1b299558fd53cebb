/**
 * Secrets on their way between the engine and the process with the module: PINs and ECDH results. What goes through Node's
 * channel stays in its buffers until they are used again, so a secret goes through it sealed to a key used once.
 */
import sodium from "sodium-native"
import { AppError } from "../../../contract/errors.ts"
import { wipe } from "../../../core/bytes/bytes.ts"

/** A key pair for one message (crypto_box_seal: X25519 and XSalsa20-Poly1305). */
export class MessageKey {
  readonly publicKey = Buffer.alloc(sodium.crypto_box_PUBLICKEYBYTES)
  readonly #secretKey = Buffer.alloc(sodium.crypto_box_SECRETKEYBYTES)

  constructor() {
    sodium.crypto_box_keypair(this.publicKey, this.#secretKey)
  }

  /** The secret; the caller wipes it. The key is of no use afterwards. Throws TOKEN_FAILED for what was not sealed to it. */
  open(sealed: Uint8Array): Uint8Array {
    const secret = new Uint8Array(new ArrayBuffer(Math.max(0, sealed.length - sodium.crypto_box_SEALBYTES)))
    try {
      const isOpen = sodium.crypto_box_seal_open(
        Buffer.from(secret.buffer),
        Buffer.from(sealed),
        this.publicKey,
        this.#secretKey,
      )
      if (isOpen) return secret
    } catch {
      // Too short to hold anything.
    } finally {
      this.wipe()
    }
    throw new AppError("TOKEN_FAILED", "a message between our processes is damaged")
  }

  wipe(): void {
    wipe(this.#secretKey)
  }
}

/** Seals and wipes `secret`. */
export function sealOnce(secret: Uint8Array, to: Uint8Array): Uint8Array {
  const sealed = Buffer.alloc(secret.length + sodium.crypto_box_SEALBYTES)
  try {
    sodium.crypto_box_seal(
      sealed,
      Buffer.from(secret.buffer, secret.byteOffset, secret.byteLength),
      Buffer.from(to),
    )
    return sealed
  } finally {
    wipe(secret)
  }
}
