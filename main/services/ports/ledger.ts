/** Where the ledger's files are kept. Everything secret in them is encrypted before it crosses this port. */
import type { Identity } from "../../core/age/recipient.ts"

/** How the owner opens the ledger: an identity file beside it, or a device key of this workspace (hardware included). */
export type OwnerKey = { readonly kind: "file" } | { readonly kind: "key"; readonly name: string }

/** The ledger's public part: who can open it. */
export interface LedgerHeader {
  /** 16 random bytes, hex: tells ledgers apart. */
  readonly id: string
  readonly owner: OwnerKey
  /** Recipient texts; every segment is encrypted to all of them. */
  readonly recipients: readonly string[]
  readonly createdAt: string
}

export interface LedgerFiles {
  readonly header: LedgerHeader
  /** The master key as an age file. */
  readonly master: Uint8Array
  /** Segments 1, 2, … as age files. */
  readonly segments: readonly Uint8Array[]
}

export interface LedgerStore {
  /** `null` when there is no ledger. Throws LEDGER_DAMAGED when files are missing or cannot be understood. */
  read(): Promise<LedgerFiles | null>
  /**
   * Makes a ledger that appears whole or not at all. `ownerIdentity` is the text of a software owner key, kept beside it.
   * Throws LEDGER_EXISTS.
   */
  create(files: LedgerFiles, ownerIdentity: string | null): Promise<void>
  /**
   * Adds segment `number`, whole or not at all; when this returns it survives a power cut. Throws LEDGER_BUSY when somebody
   * else added that segment meanwhile.
   */
  append(number: number, segment: Uint8Array): Promise<void>
  /** The owner's identity kept beside the ledger. Throws KEY_UNREADABLE. */
  ownerIdentity(): Promise<Identity>
}
