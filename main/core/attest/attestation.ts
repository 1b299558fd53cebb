/** A statement with its signature, as one file: what all our attestations have in common. */
import { readBundle, toBundleBytes } from "./bundle.ts"
import { malformed, quoted } from "./document.ts"
import { IN_TOTO_PAYLOAD, signEnvelope, type Signer } from "./dsse.ts"
import { readStatement, type Statement } from "./statement.ts"
import { checkSigner, type SignedBy, type TrustedKeys } from "./trust.ts"
import { parseVerificationKey } from "./verification-key.ts"

/** Signs a statement (as its bytes) and wraps it: a Sigstore bundle of the public-key method. Throws as signEnvelope does. */
export async function signStatement(statement: Uint8Array, signer: Signer): Promise<Uint8Array<ArrayBuffer>> {
  const envelope = await signEnvelope(IN_TOTO_PAYLOAD, statement, signer)
  return toBundleBytes(envelope, parseVerificationKey(signer.publicKeyPem()).hint)
}

export interface Attestation {
  readonly signedBy: SignedBy
  readonly statement: Statement
}

/**
 * Reads a bundle and hands out its statement only after the signature of a trusted signer was checked, in the order of
 * the DSSE protocol: decode, verify, payload type, parse. Throws as readBundle and checkSigner do, and
 * SIGNATURE_MALFORMED when what was signed is no statement. The predicate's type is for the caller to check.
 */
export function readAttestation(bundleBytes: Uint8Array, trust: TrustedKeys, at: Date): Attestation {
  const bundle = readBundle(bundleBytes)
  const signedBy = checkSigner(bundle, trust, at)
  const { payloadType, payload } = bundle.envelope
  if (payloadType !== IN_TOTO_PAYLOAD)
    throw malformed(`the payload is of type ${quoted(payloadType)}, not ${IN_TOTO_PAYLOAD}`)
  return { signedBy, statement: readStatement(payload) }
}
