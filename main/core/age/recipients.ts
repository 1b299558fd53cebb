/** Reading recipient and identity texts of every type, and the rule about mixing them. */
import { AppError } from "../../contract/errors.ts"
import { parseBech32 } from "./bech32.ts"
import { PQ_TAG_RECIPIENT_BYTES, pqTagRecipient } from "./mlkem768p256tag.ts"
import { PQ_RECIPIENT_BYTES, pqIdentity, pqRecipient } from "./mlkem768x25519.ts"
import { COMPRESSED_POINT_BYTES } from "./p256.ts"
import { p256TagRecipient } from "./p256tag.ts"
import type { Identity, Recipient } from "./recipient.ts"
import { x25519Identity, x25519Recipient } from "./x25519.ts"

/** `age1…`, `age1pq1…`, `age1tag1…` or `age1tagpq1…`. Throws RECIPIENT_INVALID. */
export function parseRecipient(text: string): Recipient {
  const decoded = parseBech32(text)
  if (decoded !== null && text === text.toLowerCase()) {
    const { prefix, bytes } = decoded
    if (prefix === "age" && bytes.length === 32) return x25519Recipient(bytes)
    if (prefix === "age1pq" && bytes.length === PQ_RECIPIENT_BYTES) return pqRecipient(bytes)
    if (prefix === "age1tag" && bytes.length === COMPRESSED_POINT_BYTES) return p256TagRecipient(bytes)
    if (prefix === "age1tagpq" && bytes.length === PQ_TAG_RECIPIENT_BYTES) return pqTagRecipient(bytes)
  }
  throw new AppError("RECIPIENT_INVALID", `"${text.slice(0, 24)}…" is not a recipient`)
}

/** `AGE-SECRET-KEY-1…` or `AGE-SECRET-KEY-PQ-1…`. Throws IDENTITY_INVALID, never repeating the text: it is a secret. */
export function parseIdentity(text: string): Identity {
  const decoded = parseBech32(text)
  if (decoded !== null && text === text.toUpperCase() && decoded.bytes.length === 32) {
    if (decoded.prefix === "age-secret-key-") return x25519Identity(decoded.bytes)
    if (decoded.prefix === "age-secret-key-pq-") return pqIdentity(decoded.bytes)
  }
  throw new AppError("IDENTITY_INVALID", "this is not an age identity")
}

export function isPostQuantum(recipient: Recipient): boolean {
  return recipient.type === "mlkem768x25519" || recipient.type === "mlkem768p256tag"
}

/**
 * Throws RECIPIENTS_MIXED when some recipients are post-quantum and some are not: the file would only be as strong as the
 * classic ones, which is not what the others were chosen for (age refuses it by the label `postquantum`).
 */
export function checkRecipientsUnmixed(recipients: readonly Recipient[]): void {
  const strong = recipients.filter((recipient) => isPostQuantum(recipient)).length
  if (strong > 0 && strong < recipients.length) {
    throw new AppError("RECIPIENTS_MIXED", `${strong} of ${recipients.length} recipients are post-quantum`)
  }
  if (recipients.length > 1 && recipients.some((recipient) => recipient.type === "scrypt")) {
    throw new AppError("RECIPIENTS_MIXED", "a passphrase must be the only recipient")
  }
}
