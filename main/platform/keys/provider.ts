/** What a place for private keys has to offer. One folder each; `store.ts` puts them behind the port. */
import type { KeyObject } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import type { DoctorCheck } from "../../contract/schema/doctor.ts"
import type { Key } from "../../contract/schema/keys.ts"
import type { Identity } from "../../core/age/recipient.ts"
import type { KeyAssurance, NewKey } from "../../services/ports/keys.ts"
import type { KeyRecord, PlaceRecord } from "./record.ts"

export interface MadeKey extends Pick<
  KeyRecord,
  "algorithm" | "publicKeyPem" | "recipient" | "location" | "unlock" | "place"
> {
  readonly assurance: KeyAssurance
}

export interface KeyProvider {
  readonly name: Key["provider"]
  /** Throws KEY_PURPOSE for a purpose or algorithm this place cannot have. */
  create(wanted: NewKey): Promise<MadeKey>
  /** Keeps a key that came from a file. Only places that hold bytes have it. */
  keep?(wanted: NewKey, key: KeyObject): Promise<MadeKey>
  remove(key: KeyRecord): Promise<void>
  /** Of a signing or attestation key; see KeyStore. */
  sign(key: KeyRecord, message: Uint8Array): Promise<Uint8Array>
  /** Of a P-256 or hybrid device key, with a point already checked. */
  ecdh(key: KeyRecord, point: Uint8Array): Promise<Uint8Array>
  identity(key: KeyRecord): Promise<Identity>
  assurance(key: KeyRecord): Promise<KeyAssurance>
  diagnose(): Promise<readonly DoctorCheck[]>
  /** Ends sessions and forgets whatever was unlocked. */
  close(): Promise<void>
}

/** The place of a record as its own provider wrote it. */
export function placeOf<P extends PlaceRecord["provider"]>(
  key: KeyRecord,
  provider: P,
): Extract<PlaceRecord, { readonly provider: P }> {
  const { place } = key
  // The comparison is what makes the narrowing true; TypeScript cannot see it through the type parameter.
  if (place.provider === provider) return place as Extract<PlaceRecord, { readonly provider: P }>
  throw new AppError("KEY_UNREADABLE", `the record of key ${key.name} is of ${place.provider}`)
}
