/** Signing TUF documents: the canonical bytes, signatures in hex of DER, and the file a client reads. */
import { canonicalize } from "@tufjs/canonical-json"
import { createHash } from "node:crypto"
import { z } from "zod"
import { toHex, toUtf8 } from "../bytes/bytes.ts"
import { isSignatureBy, parseVerificationKey } from "../attest/verification-key.ts"
import type { TrustKey } from "./key.ts"
import type { Signed } from "./plan.ts"

export const signatureSchema = z.strictObject({
  keyid: z.string().regex(/^[0-9a-f]{64}$/),
  /** ECDSA, DER, hex. */
  sig: z.string().regex(/^(?:[0-9a-f]{2}){8,80}$/),
})
export type Signature = z.infer<typeof signatureSchema>

/** The bytes a signature is over: OLPC canonical JSON of the document. */
export function bytesToSign(signed: Signed): Uint8Array {
  return toUtf8(canonicalize(signed))
}

/** SHA-256 of the bytes to sign, hex: what people compare before they sign. */
export function fingerprintOf(signed: Signed): string {
  return createHash("sha256").update(bytesToSign(signed)).digest("hex")
}

export function toSignature({ keyId }: TrustKey, der: Uint8Array): Signature {
  return { keyid: keyId, sig: toHex(der) }
}

export function isSignedBy(signed: Signed, key: TrustKey, { sig }: Signature): boolean {
  return isSignatureBy(parseVerificationKey(key.pem), bytesToSign(signed), Buffer.from(sig, "hex"))
}

/** The metadata file. Compact: devices carry one for every role. */
export function toMetadataBytes(signed: Signed, signatures: readonly Signature[]): Uint8Array {
  return toUtf8(JSON.stringify({ signatures, signed }))
}
