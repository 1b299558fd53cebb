/** Cheap reproducible choices. Every case of a campaign has its own, from the campaign's seed and the case's number. */
export class Dice {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number, index: number) {
    this.#a = seed | 0
    this.#b = index | 0
    this.#c = Math.floor(index / 2 ** 32) | 0
    for (let round = 0; round < 12; round += 1) this.next()
  }

  /** 32 bits (sfc32, C. Doty-Humphrey). */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    this.#c |= 0
    return sum >>> 0
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit)
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error("nothing to pick from")
    return item
  }

  bytes(size: number): Uint8Array {
    const out = new Uint8Array(size)
    for (let at = 0; at < size; at += 1) out[at] = this.next() >>> 24
    return out
  }
}
