/**
 * DSSE 1.0: a signature over a payload and its type. The payload is bytes; it is signed, carried and checked as it is
 * and never parsed and written again.
 */
import { AppError } from "../../contract/errors.ts"
import { concat, toUtf8 } from "../bytes/bytes.ts"
import { isSignatureBy, parseVerificationKey, type VerificationKey } from "./verification-key.ts"

/** Payload type of in-toto statements. */
export const IN_TOTO_PAYLOAD = "application/vnd.in-toto+json"

/**
 * One payload and its one signature: Sigstore bundles allow no more. The `keyid` of the wire format is not kept, since
 * nothing may be decided by it (DSSE protocol, Signature Definition).
 */
export interface DsseEnvelope {
  readonly payloadType: string
  readonly payload: Uint8Array
  /** ECDSA, DER. */
  readonly signature: Uint8Array
}

/** Whatever holds a private P-256 key: software, TPM, token. The key itself never comes here. */
export interface Signer {
  /** The public half, SPKI in PEM. */
  publicKeyPem(): string
  /** ECDSA in DER over SHA-256 of the message. */
  sign(message: Uint8Array): Promise<Uint8Array>
}

/**
 * Signs the payload. What came back is checked before it leaves: a token with another key, or one that answers with
 * r‖s, would otherwise be noticed by the receiver only. Throws KEY_PURPOSE for a key that is not P-256 and
 * SIGNATURE_INVALID when the signer's answer does not verify with its own public key.
 */
export async function signEnvelope(
  payloadType: string,
  payload: Uint8Array,
  signer: Signer,
): Promise<DsseEnvelope> {
  const key = parseVerificationKey(signer.publicKeyPem())
  // Common verifiers hash with SHA-256 whatever the curve, so a P-384 signature would be refused by them.
  if (key.hash !== "sha256")
    throw new AppError("KEY_PURPOSE", `signing keys are on P-256, this one wants ${key.hash}`)
  const signature = await signer.sign(preAuthEncoding(payloadType, payload))
  const envelope: DsseEnvelope = { payloadType, payload, signature }
  checkEnvelope(envelope, key)
  return envelope
}

/** Throws SIGNATURE_INVALID unless this key signed this payload under this payload type. */
export function checkEnvelope(envelope: DsseEnvelope, key: VerificationKey): void {
  const message = preAuthEncoding(envelope.payloadType, envelope.payload)
  if (!isSignatureBy(key, message, envelope.signature)) {
    throw new AppError("SIGNATURE_INVALID", `the signature is not one of key ${key.hint} over this content`)
  }
}

/** PAE of the DSSE protocol: `DSSEv1 <bytes in type> <type> <bytes in payload> <payload>`. These are the bytes that are signed. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const type = toUtf8(payloadType)
  return concat(toUtf8(`DSSEv1 ${type.length} `), type, toUtf8(` ${payload.length} `), payload)
}
