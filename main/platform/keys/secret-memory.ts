/** Unlocked secrets between two uses: in libsodium's guarded pages, unreadable until asked for, wiped when freed. */
import sodium from "sodium-native"

export class SecretMemory {
  readonly #held = new Map<string, Buffer>()

  /** Keeps a copy of `secret` under `id`; the caller wipes the original. */
  hold(id: string, secret: Uint8Array): void {
    this.forget(id)
    const buffer = sodium.sodium_malloc(secret.length)
    buffer.set(secret)
    sodium.sodium_mprotect_noaccess(buffer)
    this.#held.set(id, buffer)
  }

  /** A copy that the caller wipes, or `null` when nothing is held under `id`. */
  copy(id: string): Uint8Array | null {
    const buffer = this.#held.get(id)
    if (buffer === undefined) return null
    sodium.sodium_mprotect_readonly(buffer)
    try {
      return Uint8Array.from(buffer)
    } finally {
      sodium.sodium_mprotect_noaccess(buffer)
    }
  }

  clear(): void {
    for (const id of this.#held.keys()) this.forget(id)
  }

  forget(id: string): void {
    const buffer = this.#held.get(id)
    if (buffer === undefined) return
    this.#held.delete(id)
    sodium.sodium_mprotect_readwrite(buffer)
    sodium.sodium_free(buffer)
  }
}
