/** A TPM's word under a receipt (docs/FORMAT.md 10.4): it was running, in this state, when the receipt was made. */
import { createHash } from "node:crypto"
import { z } from "zod"
import { toUtf8 } from "../bytes/bytes.ts"
import { base64Bytes } from "./document.ts"
import { checkQuoted, type Quoted } from "./tpm/attestation.ts"
import { readPublicArea } from "./tpm/public-area.ts"

/** Firmware, option ROMs, boot loader, secure boot (TCG PC Client Platform Firmware Profile, 2.3.4). */
export const RECEIPT_PCRS = [0, 2, 4, 7] as const

/** TPMS_ATTEST and TPMT_SIGNATURE, base64. */
export const receiptQuoteSchema = z.strictObject({ attestation: base64Bytes, signature: base64Bytes })
export type ReceiptQuote = z.infer<typeof receiptQuoteSchema>

/** What the quote answers: 32 bytes that no other receipt has. */
export function receiptQuestion(receipt: {
  readonly package: string
  readonly nonce: string
  readonly counter: number
  readonly result: string
}): Uint8Array {
  const { package: digest, nonce, counter, result } = receipt
  return createHash("sha256")
    .update(toUtf8(`sealwright/receipt/v1\n${digest}\n${nonce}\n${counter}\n${result}\n`))
    .digest()
}

/** `attestationKey`: TPMT_PUBLIC of the key that enrolment showed to be in the device's TPM. Throws ATTESTATION_REFUSED, ATTESTATION_MALFORMED. */
export function checkReceiptQuote(
  quote: ReceiptQuote,
  attestationKey: Uint8Array,
  question: Uint8Array,
): Quoted {
  return checkQuoted(quote, readPublicArea(attestationKey), RECEIPT_PCRS, question)
}
