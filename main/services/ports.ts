/** What the use cases need from the world. `main/platform` makes each of these real; tests may stand in for any. */
import type { FileRef, Live } from "../contract/schema/base.ts"
import type { DoctorCheck } from "../contract/schema/doctor.ts"
import type { Device } from "../contract/schema/keys.ts"
import type { LevelReport, RuntimeLevel } from "../contract/schema/runtime.ts"
import type { TraceResult } from "../contract/schema/trace.ts"
import type { Validation } from "../contract/schema/validate.ts"
import type { Random } from "../core/age/recipient.ts"
import type { ByteSource } from "../core/bytes/source.ts"
import type { Documents, Folders } from "./ports/documents.ts"
import type { WorkspaceLocks } from "./ports/locks.ts"
import type { RollbackFloors } from "./ports/floors.ts"
import type { MarkKernel } from "../core/watermark/kernel.ts"
import type { Attestor, HardwareCounters } from "./ports/attestor.ts"
import type { AuditLog, RunBudgets, ServedRuntimes } from "./ports/serving.ts"
import type { Enrolments } from "./ports/enrolment.ts"
import type { KeyStore } from "./ports/keys.ts"
import type { LedgerStore } from "./ports/ledger.ts"
import type { PackageLibrary } from "./ports/library.ts"
import type { PushQueue, Registries, RegistryAccess } from "./ports/registry.ts"
import type { SuspectCommands } from "./ports/suspect.ts"
import type { TraceEngine } from "./ports/trace.ts"
import type { TrialLauncher } from "./ports/trial.ts"
import type { PromptDesk } from "./prompt-desk.ts"

/** All of them. */
export interface Ports {
  readonly files: Files
  readonly payload: PayloadEngine
  readonly keys: KeyStore
  readonly attestor: Attestor
  readonly counters: HardwareCounters
  readonly devices: DeviceStore
  readonly enrolments: Enrolments
  readonly library: PackageLibrary
  readonly trust: TrustStore
  readonly documents: Documents
  readonly folders: Folders
  readonly locks: WorkspaceLocks
  readonly floors: RollbackFloors
  readonly runtime: RuntimeLauncher
  readonly budgets: RunBudgets
  readonly audit: AuditLog
  readonly served: ServedRuntimes
  readonly reports: ReportRenderer
  readonly machine: Machine
  readonly registries: Registries
  readonly ledger: LedgerStore
  readonly trials: TrialLauncher
  /** The inner loops of embedding, in the fastest form there is here. */
  readonly markKernel: MarkKernel
  readonly tracing: TraceEngine
  readonly suspects: SuspectCommands
  readonly registryAccess: RegistryAccess
  readonly pushes: PushQueue
  /** Where everything that needs a passphrase or PIN asks for it. */
  readonly prompts: PromptDesk
  readonly jobScope: JobScope
  readonly random: Random
  /** The time now. */
  readonly now: () => Date
  /** Keeps the whole of an unexpected failure for whoever debugs this process; callers only learn that it happened. */
  readonly reportFault: (error: unknown) => void
}

/** Which job asks for something, however deep below it the asking is. */
export interface JobScope {
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>
  /** Aborts when the job this is called for was cancelled or has ended; null outside of jobs. */
  signal(): AbortSignal | null
}

/** How a long operation is watched and stopped. */
export interface JobControl {
  readonly signal: AbortSignal
  /** Called with bytes done so far, seldom enough to be cheap (some ten times a second); a measurement says what it saw since. */
  progress(doneBytes: number, live?: Live): void
}

/** An open file: `number` is the descriptor, valid until `close`. */
export interface OpenFile extends ByteSource {
  readonly number: number
  /** The last segment of its path: what people call it. */
  readonly name: string
  /** Throws FILE_CHANGED when the file is not what it was when it was opened. */
  checkUnchanged(): Promise<void>
  close(): Promise<void>
}

/** Files by reference. Only `refer`, `pathOf` and this port's implementation know paths. */
export interface Files {
  /** `as`: the reference the path had in an engine that ended, if it had one. */
  refer(path: string, as?: FileRef | null): FileRef
  /** For answers to a host only: what a client sees is the reference. Throws FILE_NOT_FOUND. */
  pathOf(file: FileRef): string
  /** Throws FILE_NOT_FOUND, FILE_UNREADABLE, FILE_NOT_REGULAR, PATH_NOT_UTF8. */
  open(file: FileRef): Promise<OpenFile>
  /**
   * A file named relative to `beside`, inside its folder: links are not followed anywhere on the way. Throws
   * ONNX_EXTERNAL_MISSING and ONNX_EXTERNAL_OUTSIDE.
   */
  openBeside(beside: FileRef, name: string): Promise<OpenFile>
  /** Throws OUTPUT_EXISTS (unless `replace`), OUTPUT_UNWRITABLE, NO_SPACE. `isSecret` keeps other users out. */
  create(
    file: FileRef,
    options: { readonly replace: boolean; readonly isSecret: boolean },
  ): Promise<PendingFile>
  /** As `create`, for a name relative to the folder of `beside`. Folders on the way are made. */
  createBeside(
    beside: FileRef,
    name: string,
    options: { readonly replace: boolean; readonly isSecret: boolean },
  ): Promise<PendingFile>
  /** A reference to a name inside a folder; the folder is made if need be. */
  inFolder(folder: FileRef, name: string): Promise<FileRef>
  /** A reference to a name in the folder of `file`, whether or not there is such a file. */
  beside(file: FileRef, name: string): FileRef
  /** The last segment of the path. */
  nameOf(file: FileRef): string
  /** Removing what is not there changes nothing. */
  remove(file: FileRef): Promise<void>
}

/**
 * A file that appears under its name only when complete. `commit` publishes it atomically and refuses to replace a file
 * unless that was asked for; `discard` leaves nothing behind, and changes nothing after a commit that succeeded.
 */
export interface PendingFile {
  readonly number: number
  write(offset: number, bytes: Uint8Array): Promise<void>
  /** What was written, for those who check it before they commit. Throws FILE_CHANGED where there is less. */
  read(offset: number, length: number): Promise<Uint8Array>
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
  /**
   * Changes plaintext in place before it is hashed and sealed. Called once for every stretch of it, one after another and in
   * order; `offset` counts from the start of the plaintext. Stretches may cut a file, or an element of a tensor, in two.
   */
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

/** The chunks of an age file inside `file`: where they start and their length, bytes. */
export interface SealedPayload {
  readonly file: number
  readonly chunksOffset: number
  readonly chunksBytes: number
  /** Payload key, 32 bytes; the caller wipes it. */
  readonly key: Uint8Array
}

/** Plaintext by offset. `close` wipes what is kept of it. */
export interface PlainReader extends ByteSource {
  close(): void
}

export interface DecryptJob extends SealedPayload {
  /** Where the age file starts, bytes. */
  readonly offset: number
  /** Ascending and disjoint. */
  readonly parts: readonly OpenedPart[]
  /** Whether the SHA-256 of the age file is wanted. */
  readonly digest: boolean
  /**
   * Changes plaintext in place after it was authenticated and before it is hashed and written. Called once for every stretch
   * of it, one after another and in order.
   */
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
  /**
   * Random access to a payload's plaintext, opening only the chunks it touches. Resolves after the last chunk was verified,
   * so the length is genuine; every chunk is authenticated before its bytes are given out.
   */
  reader(payload: SealedPayload): Promise<PlainReader>
  /** SHA-256 of a stretch of a file. */
  digest(file: number, offset: number, length: number, control: JobControl): Promise<Uint8Array>
}

export interface DeviceStore {
  /** Throws DEVICE_EXISTS, NAME_INVALID. */
  add(device: Device): Promise<void>
  list(): Promise<readonly Device[]>
  /** Throws DEVICE_NOT_FOUND. */
  find(name: string): Promise<Device>
  remove(name: string): Promise<void>
}

/** Public keys whose signatures count, as PEM texts with a label for people. */
export interface TrustStore {
  /** From a PEM file or a folder of them; `null` means the keys of this workspace. */
  read(from: FileRef | null): Promise<readonly { readonly label: string; readonly pem: string }[]>
}

/** An array in C order: `data` holds little-endian elements of `type` (numpy's name, such as `float32`). */
export interface Tensor {
  readonly name: string
  readonly type: string
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

/** Where the plaintext of a model comes from. */
export type ModelSource =
  | {
      readonly kind: "sealed"
      readonly file: OpenFile
      readonly chunksOffset: number
      readonly chunksBytes: number
      /** Payload key, 32 bytes; the caller wipes its copy. */
      readonly key: Uint8Array
      /** Public keys (PEM) one of which must have signed the plaintext. */
      readonly trustedPems: readonly string[]
      /** Fleet mode: the model signature from the grant. */
      readonly modelSignature: Uint8Array | null
      /** Fleet mode: the overlay from the grant, its binding checked; it goes over the plaintext before that is judged. */
      readonly overlay: Uint8Array | null
      /** Root digest the grant promises, hex. */
      readonly modelRoot: string
    }
  | { readonly kind: "plain"; readonly files: readonly { readonly name: string; readonly file: OpenFile }[] }

export interface LoadedModel {
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  /** Milliseconds. `decrypt` and `verify` are 0 for a plain model. */
  readonly loadMs: {
    readonly decrypt: number
    readonly verify: number
    readonly session: number
    readonly total: number
  }
}

export interface ValueInfo {
  readonly name: string
  readonly type: string
  readonly shape: readonly (number | string | null)[]
}

/** The process that alone holds plaintext weights. Everything ends with `close`, whatever state it is in. */
export interface RuntimeProcess {
  /** The level asked for, the level reached, and every measure with its result. */
  readonly level: LevelReport
  readonly model: LoadedModel
  /** `sessionMs` is the time inside the inference engine alone. */
  infer(
    inputs: readonly Tensor[],
    signal: AbortSignal,
  ): Promise<{ readonly outputs: readonly Tensor[]; readonly sessionMs: number }>
  memory(): Promise<RuntimeMemory>
  /**
   * Ends the session and wipes its memory; the process stays until `close`. Milliseconds it took. At R0 the memory is given
   * back but not wiped: only the end of the process is certain there.
   */
  unload(): Promise<number>
  close(): Promise<void>
}

export interface RuntimeMemory {
  /** Largest resident size so far, bytes. */
  readonly peakBytes: number
  /** Of the preloaded heap, bytes: in use now, the most that ever was, and all that was ever touched. Null at R0. */
  readonly heap: {
    readonly isSecret: boolean
    readonly live: number
    readonly peak: number
    readonly used: number
  } | null
}

export interface RuntimeOptions {
  /** Exactly this level, or a refusal; null takes the highest the machine reaches. */
  readonly level: RuntimeLevel | null
  /** The grant's word: a runtime that reaches less does not get the key. */
  readonly minimum: RuntimeLevel
}

export interface RuntimeLauncher {
  /**
   * Starts a process, loads the model in it. Throws RUNTIME_LEVEL before any key is handed over when the process did not
   * reach what is wanted; MODEL_UNSUPPORTED, RUNTIME_FAILED and what opening a payload throws.
   */
  start(model: ModelSource, options: RuntimeOptions, signal: AbortSignal): Promise<RuntimeProcess>
  /** What a runtime on this machine reaches, by starting one without a model. */
  probe(signal: AbortSignal): Promise<LevelReport>
}

/** Turns measurements into pages people read. */
export interface ReportRenderer {
  /** One self-contained HTML page. */
  validation(validation: Validation): Promise<string>
  /** The evidence of a trace; `scores` has the deviations of every device compared, likeliest first. */
  trace(result: TraceResult, scores: readonly number[]): Promise<string>
}

export interface Machine {
  describe(): {
    readonly cpu: string
    readonly cores: number
    readonly memoryBytes: number
    readonly os: string
  }
  readonly version: string
  readonly node: string
  readonly platform: string
  diagnose(): Promise<readonly DoctorCheck[]>
  /** The highest level the sealed runtime reaches here; null where it does not start. */
  runtimeLevel(): Promise<RuntimeLevel | null>
  /** The sample that comes with the product. */
  sample(): {
    readonly model: string
    readonly data: string
    readonly labels: string
    readonly mean: number
    readonly std: number
  }
}
