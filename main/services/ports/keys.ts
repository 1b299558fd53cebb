/** Private keys, wherever they live: file, secret store, TPM, token. Private bytes never cross this port. */
import type { Assurance, FileRef } from "../../contract/schema/base.ts"
import type { DoctorCheck } from "../../contract/schema/doctor.ts"
import type { Key, KeyPlace } from "../../contract/schema/keys.ts"
import type { Identity } from "../../core/age/recipient.ts"

/** A key to be made, or to be taken over where `place` says that it exists already. */
export interface NewKey {
  readonly name: string
  readonly purpose: Key["purpose"]
  readonly algorithm: Key["algorithm"]
  readonly place: KeyPlace
}

/** How sure one can be of where a private key lives, and why. */
export interface KeyAssurance {
  readonly level: Assurance
  readonly evidence: readonly string[]
}

export interface KeyStore {
  /** Throws KEY_EXISTS, NAME_INVALID, KEY_PURPOSE, and what the provider of `place` refuses. */
  create(wanted: NewKey): Promise<Key>
  /**
   * Takes over a signing key from a credential file (PKCS#12 or PEM; P-256 or RSA of 2048 bits or more) and gives the certificates
   * beside it, DER, the key's own first. Throws what readCredentialFile and `create` throw, and KEY_PURPOSE for another key.
   */
  import(wanted: {
    readonly name: string
    readonly file: FileRef
    /** Whether the key gets a passphrase of its own. */
    readonly passphrase: boolean
  }): Promise<{ readonly key: Key; readonly chain: readonly Uint8Array[] }>
  /** Keeps certificates with a signing key, DER, its own first, in the place of those it had. Whether they fit is the caller's to judge. Throws CERTIFICATE_MALFORMED for more than 32. */
  attach(key: Key, chain: readonly Uint8Array[]): Promise<void>
  /** The certificates kept with a key, DER, its own first. */
  chain(key: Key): Promise<readonly Uint8Array[]>
  list(): Promise<readonly Key[]>
  /** Throws KEY_NOT_FOUND. Without a purpose a signing key goes first, then a device key. */
  find(name: string, purpose?: Key["purpose"]): Promise<Key>
  /** Forgets the key and destroys its private half, unless other software made it: that one stays where it is. */
  remove(key: Key): Promise<void>
  /**
   * Signs SHA-256 of `message`: ECDSA in DER with a P-256 key, RSA-PSS (salt 32 bytes) with an RSA key. Throws KEY_PURPOSE for
   * anything but a signing key.
   */
  sign(key: Key, message: Uint8Array): Promise<Uint8Array>
  /**
   * One ECDH with a P-256 device key. `point`: uncompressed, 65 bytes, checked here to be on the curve (AGE_MALFORMED).
   * Returns the shared x-coordinate, 32 bytes; the caller wipes it. Throws KEY_PURPOSE for any other key.
   */
  ecdh(key: Key, point: Uint8Array): Promise<Uint8Array>
  /** The age identity of a device key. Throws KEY_PURPOSE for any other key. */
  identity(key: Key): Promise<Identity>
  /** Asks the place itself again, where `Key.assurance` is what it said when the key was made. */
  assurance(key: Key): Promise<KeyAssurance>
  /** What key hardware this computer has, what works, and why the rest does not; `only` asks one kind of place. */
  diagnose(only?: Key["provider"]): Promise<readonly DoctorCheck[]>
}
