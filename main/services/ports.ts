/** What the use cases need from the world. `main/platform` makes each of these real; tests may stand in for any. */
import type { ByteSource } from "../core/bytes/source.ts"

/** How a long operation is watched and stopped. */
export interface JobControl {
  readonly signal: AbortSignal
  /** Called with bytes done so far, seldom enough to be cheap (some ten times a second). */
  progress(doneBytes: number): void
}

/** An open file: `number` is the descriptor, valid until `close`. */
export interface OpenFile extends ByteSource {
  readonly number: number
  close(): Promise<void>
}

/**
 * A file that appears under its name only when complete. `commit` publishes it atomically and refuses to replace a file
 * unless that was asked for; `discard` leaves nothing behind. One of the two must be called.
 */
export interface PendingFile {
  readonly number: number
  write(offset: number, bytes: Uint8Array): Promise<void>
  commit(): Promise<void>
  discard(): Promise<void>
}

/** One stretch of the plaintext of a payload being written. */
export type PlainPart =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | {
      readonly kind: "file"
      readonly file: number
      readonly offset: number
      readonly length: number
      /** Whether its SHA-256 is wanted. */
      readonly digest: boolean
    }

export interface EncryptJob {
  /** Header and payload nonce, written first. */
  readonly prefix: Uint8Array
  /** Payload key, 32 bytes; the caller wipes it. */
  readonly key: Uint8Array
  readonly parts: readonly PlainPart[]
  /** Plaintext that follows the parts and depends on their digests (SHA-256 of each digested part, in order). */
  tail?(digests: readonly Uint8Array[]): Promise<Uint8Array>
  /** Changes plaintext in place before it is hashed and sealed. `offset` counts from the start of the plaintext. */
  transform?(offset: number, plain: Uint8Array): void
  readonly output: { readonly file: number; readonly offset: number }
  /** Whether the SHA-256 of the age file is wanted. */
  readonly digest: boolean
}

export interface EncryptResult {
  /** Length of the age file, bytes. */
  readonly bytes: number
  readonly plainBytes: number
  /** SHA-256 of the age file, if it was wanted. */
  readonly digest: Uint8Array | null
  readonly partDigests: readonly Uint8Array[]
}

/** One stretch of the plaintext of a payload being read: where it goes (nowhere, when only checked) and whether it is hashed. */
export interface OpenedPart {
  readonly offset: number
  readonly length: number
  readonly target: { readonly file: number; readonly offset: number } | null
  readonly digest: boolean
}

export interface DecryptJob {
  /** The age file inside `file`: where it starts, where its chunks start, and their length, bytes. */
  readonly file: number
  readonly offset: number
  readonly chunksOffset: number
  readonly chunksBytes: number
  readonly key: Uint8Array
  /** Ascending and disjoint. */
  readonly parts: readonly OpenedPart[]
  /** Whether the SHA-256 of the age file is wanted. */
  readonly digest: boolean
  /** Changes plaintext in place after it was authenticated and before it is hashed and written. */
  transform?(offset: number, plain: Uint8Array): void
}

export interface DecryptResult {
  /** SHA-256 of the age file as it was read, if it was wanted. */
  readonly digest: Uint8Array | null
  readonly partDigests: readonly Uint8Array[]
}

/** Payloads at copy speed: every byte is read once, hashed on the way, and written once, in constant memory. */
export interface PayloadEngine {
  encrypt(job: EncryptJob, control: JobControl): Promise<EncryptResult>
  decrypt(job: DecryptJob, control: JobControl): Promise<DecryptResult>
  /** SHA-256 of a stretch of a file. */
  digest(file: number, offset: number, length: number, control: JobControl): Promise<Uint8Array>
}
