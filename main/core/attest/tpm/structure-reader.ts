/** TPM structures are big-endian fields and buffers with a 16-bit size in front (TPM 2.0 Library, Part 2, 4 and 10). */
import { AppError } from "../../../contract/errors.ts"

/** Reads one structure from front to back. Every size is checked before it is used; throws ATTESTATION_MALFORMED. */
export class StructureReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #what: string
  #at = 0

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4))
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8))
  }

  take(length: number): Uint8Array {
    const at = this.#advance(length)
    return this.#bytes.subarray(at, at + length)
  }

  /** A TPM2B: its content without the size. */
  sized(): Uint8Array {
    return this.take(this.u16())
  }

  end(): void {
    if (this.#at !== this.#bytes.length) {
      throw malformedStructure(`${this.#what} has ${this.#bytes.length - this.#at} bytes too many`)
    }
  }

  #advance(length: number): number {
    const at = this.#at
    if (at + length > this.#bytes.length) throw malformedStructure(`${this.#what} ends too early`)
    this.#at = at + length
    return at
  }
}

/** `content` with its 16-bit size in front. */
export function toSized(content: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(2 + content.length)
  new DataView(out.buffer).setUint16(0, content.length)
  out.set(content, 2)
  return out
}

export function malformedStructure(message: string): AppError {
  return new AppError("ATTESTATION_MALFORMED", message)
}
