/** What the desktop shell's preload gives a window beside the port of the contract. A browser has none of it. */
import type { ErrorCode } from "./errors.ts"
import type { FileRef } from "./schema/base.ts"

/** A file the user opened outside the window: in a menu, by its association, or by dropping it on the program. */
export interface OpenedFile {
  readonly file: FileRef
  readonly name: string
  readonly bytes: number
}

/** A call through the preload loses the class of an error, so a refusal is an answer. */
export type ReferAnswer =
  | { readonly kind: "known"; readonly file: FileRef }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string }

export interface DesktopBridge {
  /** Asks the shell for a port that speaks the window contract; it arrives as PORT_MESSAGE to this window. */
  requestPort(): void
  /** A reference for a file the user dropped or chose. Its path stays outside the window. */
  refer(file: File): Promise<ReferAnswer>
  /** Calls back for files the user opened elsewhere, those from before the window was there included. */
  onOpened(listener: (files: readonly OpenedFile[]) => void): void
  /** Reports how far the longest job is, 0 to 1, for the taskbar; null when nothing runs. */
  showProgress(share: number | null): void
  /** Tells the user that a job ended while the window was out of sight. */
  notify(title: string, body: string): void
}

/** The message that carries the port from the preload to the window's script. */
export const PORT_MESSAGE = "sealwright-port"
