/** What every recipient and identity type offers. One small file a type; this one only names the shape. */
import { AppError } from "../../contract/errors.ts"
import { parseRawBase64 } from "../bytes/bytes.ts"
import type { Stanza } from "./stanza.ts"

/** A source of secret randomness: exactly `size` fresh bytes. Comes in as an argument so that vectors can be replayed. */
export type Random = (size: number) => Uint8Array

/** Somebody a file is encrypted to. */
export interface Recipient {
  readonly type: RecipientType
  /** The public text people copy, such as `age1…`; for a passphrase only the type. */
  readonly text: string
  /** The file key (16 bytes) wrapped for this recipient. */
  wrap(fileKey: Uint8Array, random: Random): Stanza
}

export type RecipientType = "X25519" | "scrypt" | "mlkem768x25519" | "p256tag" | "mlkem768p256tag"

/** Somebody who can open a file. */
export interface Identity {
  /**
   * The file key (16 bytes; the caller wipes it), or `null` when no stanza is for this identity. Throws AGE_MALFORMED when
   * a stanza of its type is broken, whoever it was for.
   */
  unwrap(stanzas: readonly Stanza[]): Promise<Uint8Array | null>
}

/** A file key wrapped with ChaCha20-Poly1305 or HPKE: 16 bytes and a 16-byte tag. */
export const WRAPPED_KEY_BYTES = 32

/**
 * The stanzas of one type, with arguments decoded to exactly the lengths given (bytes) and a body of 32 bytes. Throws
 * AGE_MALFORMED for one that differs: the length is checked before anything is decrypted (age.md, "partitioning oracle").
 */
export function stanzasOfType(
  stanzas: readonly Stanza[],
  type: RecipientType,
  argumentSizes: readonly number[],
): readonly { readonly values: readonly Uint8Array[]; readonly body: Uint8Array }[] {
  return stanzas
    .filter((stanza) => stanza.type === type)
    .map((stanza) => {
      const values = stanza.args.map((text) => parseRawBase64(text))
      const fits =
        values.length === argumentSizes.length &&
        values.every((value, index) => value?.length === argumentSizes[index])
      if (!fits || stanza.body.length !== WRAPPED_KEY_BYTES) {
        throw new AppError(
          "AGE_MALFORMED",
          `a stanza of type ${type} has arguments or a body of the wrong length`,
        )
      }
      return { values: values.filter((value) => value !== null), body: stanza.body }
    })
}

/** Picks a decoded argument that `stanzasOfType` has checked to exist. */
export function argument(values: readonly Uint8Array[], index: number): Uint8Array {
  const value = values[index]
  if (value === undefined) throw new RangeError(`no argument ${index}`)
  return value
}
