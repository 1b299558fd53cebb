/** What a TPM can prove about itself and its keys. Structures are the TPM's own bytes (TPM 2.0 Library, part 2). */
import type { Key } from "../../contract/schema/keys.ts"

/** Endorsement keys by the two templates every TPM has (TCG EK Credential Profile). */
export type EndorsementKind = "rsa-2048" | "p-256"

export interface Endorsement {
  /** TPMT_PUBLIC. */
  readonly publicArea: Uint8Array
  /** The maker's certificate, DER; null when the TPM holds none for this key. */
  readonly certificate: Uint8Array | null
}

/** TPMS_ATTEST and its TPMT_SIGNATURE (ECDSA, SHA-256). */
export interface SignedAttestation {
  readonly attestation: Uint8Array
  readonly signature: Uint8Array
}

/**
 * Keys are keys of provider tpm2, all in one TPM; `by` is one made for attestation. All throw KEY_PURPOSE for other keys, and
 * the TPM_ codes.
 */
export interface Attestor {
  /** Of the TPM that holds `beside`. */
  endorsement(kind: EndorsementKind, beside: Key): Promise<Endorsement>
  /** TPMT_PUBLIC of a key; its name is the hash of these bytes. */
  publicArea(key: Key): Promise<Uint8Array>
  /**
   * TPM2_ActivateCredential: the secret of a credential made for this TPM's endorsement key and the name of `by`. `blob`:
   * TPM2B_ID_OBJECT; `secret`: TPM2B_ENCRYPTED_SECRET.
   */
  activate(
    kind: EndorsementKind,
    by: Key,
    credential: { readonly blob: Uint8Array; readonly secret: Uint8Array },
  ): Promise<Uint8Array>
  /** TPM2_Certify of `key`. `nonce`: at most 32 bytes. */
  certify(key: Key, by: Key, nonce: Uint8Array): Promise<SignedAttestation>
  /** TPM2_Quote over the SHA-256 bank. */
  quote(by: Key, pcrs: readonly number[], nonce: Uint8Array): Promise<SignedAttestation>
  /** Present values of SHA-256 PCRs in ascending order, 32 bytes each, unsigned. */
  readPcrs(beside: Key, pcrs: readonly number[]): Promise<readonly Uint8Array[]>
}

/**
 * Counters in a TPM that only go up, for rollback floors. `index`: an NV index of the owner's range (0x01800000 to
 * 0x01bfffff). `tcti` as for keys; null finds the TPM.
 */
export interface HardwareCounters {
  /** Makes it; its first value is above every counter that was removed from the TPM. Throws TPM_EXISTS. */
  define(tcti: string | null, index: number): Promise<bigint>
  /** Throws TPM_HANDLE_EMPTY, and TPM_UNSUITABLE for an index that is no counter or is locked. */
  increment(tcti: string | null, index: number): Promise<bigint>
  read(tcti: string | null, index: number): Promise<bigint>
  /** A counter made anew at the same index does not start lower. */
  remove(tcti: string | null, index: number): Promise<void>
}
