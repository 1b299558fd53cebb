import { createHash } from "node:crypto"

/** SHA-256 of bytes that come in stretches. */
export class Sha256 {
  readonly #hash = createHash("sha256")

  update(bytes: Uint8Array): this {
    this.#hash.update(bytes)
    return this
  }

  digest(): Uint8Array {
    return this.#hash.digest()
  }
}
