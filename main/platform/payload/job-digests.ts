import type { BatchBackend, DigestFeed, DigestSet } from "./backend.ts"
import type { Overlap } from "./layout.ts"

/** The digests a job asks for: of some parts of the plaintext, and of the whole ciphertext. */
export class JobDigests {
  readonly set: DigestSet
  /** The stream of every part, or null when its digest is not wanted. */
  readonly #parts: readonly (number | null)[]
  readonly #sealed: number | null

  constructor(backend: BatchBackend, parts: readonly boolean[], sealed: boolean) {
    let streams = 0
    const stream = (isWanted: boolean) => (isWanted ? streams++ : null)
    this.#parts = parts.map(stream)
    this.#sealed = stream(sealed)
    this.set = backend.createDigests(streams)
  }

  /** `plain` is the plaintext from `at` on; the overlaps say which parts it belongs to. */
  parts(at: number, overlaps: readonly Overlap[], plain: Uint8Array): readonly DigestFeed[] {
    return overlaps.flatMap(({ part, from, to }) => {
      const stream = this.#parts[part] ?? null
      return stream === null ? [] : [{ stream, bytes: plain.subarray(from - at, to - at) }]
    })
  }

  sealed(bytes: Uint8Array): readonly DigestFeed[] {
    return this.#sealed === null ? [] : [{ stream: this.#sealed, bytes }]
  }

  /** For bytes outside the ring: only while no batch runs. */
  async feed(feeds: readonly DigestFeed[]): Promise<void> {
    if (feeds.length > 0) await this.set.update(feeds)
  }

  /** The digests of the parts that wanted one, in order. */
  async finishParts(): Promise<readonly Uint8Array[]> {
    const wanted = this.#parts.filter((stream) => stream !== null)
    return Promise.all(wanted.map(async (stream) => this.set.finish(stream)))
  }

  async finishSealed(): Promise<Uint8Array | null> {
    return this.#sealed === null ? null : this.set.finish(this.#sealed)
  }
}
