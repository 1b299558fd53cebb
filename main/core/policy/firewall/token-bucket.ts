/** A token bucket: bursts up to its size, then a steady rate. The clock comes in as an argument, milliseconds. */
export class TokenBucket {
  readonly #perMs: number
  readonly #size: number
  #tokens: number
  #at: number

  /** Starts full. */
  constructor(perSecond: number, size: number, nowMs: number) {
    this.#perMs = perSecond / 1000
    this.#size = size
    this.#tokens = size
    this.#at = nowMs
  }

  /** Takes `count` tokens and returns 0, or takes none and returns the milliseconds until there are enough. */
  take(count: number, nowMs: number): number {
    // A clock set back earns nothing and costs nothing.
    const elapsed = Math.max(0, nowMs - this.#at)
    this.#at = nowMs
    this.#tokens = Math.min(this.#size, this.#tokens + elapsed * this.#perMs)
    if (count > this.#size) return Number.POSITIVE_INFINITY
    if (count <= this.#tokens) {
      this.#tokens -= count
      return 0
    }
    return Math.ceil((count - this.#tokens) / this.#perMs)
  }

  /** Tokens left when last asked. */
  get tokens(): number {
    return this.#tokens
  }
}
