/** Reproducible randomness for attacks: a stream of AES-256-CTR keyed with the text of a seed. */
import { createCipheriv, createHash } from "node:crypto"

export class Dice {
  readonly #cipher
  #block = new Uint32Array(0)
  #at = 0

  constructor(seed: string) {
    const key = createHash("sha256").update(seed).digest()
    this.#cipher = createCipheriv("aes-256-ctr", key, new Uint8Array(16))
  }

  /** Uniform in [0, 1), 32 bits. */
  uniform(): number {
    if (this.#at >= this.#block.length) {
      this.#block = new Uint32Array(Uint8Array.from(this.#cipher.update(ZEROS)).buffer)
      this.#at = 0
    }
    return (this.#block[this.#at++] ?? 0) / 2 ** 32
  }

  /** Standard normal (Box and Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform())
  }

  below(limit: number): number {
    return Math.floor(this.uniform() * limit)
  }

  /** -1 or 1. */
  sign(): number {
    return this.uniform() < 0.5 ? -1 : 1
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256))
  }

  permutation(length: number): Int32Array {
    const out = Int32Array.from({ length }, (_, i) => i)
    for (let i = length - 1; i > 0; i -= 1) {
      const j = this.below(i + 1)
      ;[out[i], out[j]] = [out[j] ?? 0, out[i] ?? 0]
    }
    return out
  }
}

const ZEROS = new Uint8Array(4096)
