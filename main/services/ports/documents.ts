import type { FileRef } from "../../contract/schema/base.ts"

/**
 * Small documents a workspace keeps by name (`tuf/image/1.root.json`): trust metadata, drafts, deployments, receipts. Names
 * are relative paths of plain segments. A document is there whole or not at all, whatever happens while it is written.
 */
export interface Documents {
  /** `null` when there is none. Throws WORKSPACE_UNUSABLE for what cannot be read. */
  read(name: string): Promise<Uint8Array | null>
  /** Replaces what is there, atomically and durably; readable by its owner alone. Throws NO_SPACE, WORKSPACE_UNUSABLE. */
  write(name: string, bytes: Uint8Array): Promise<void>
  /** Removing what is not there changes nothing. */
  remove(name: string): Promise<void>
  /** Names of the entries of a folder, sorted; folders end in `/`. Empty when the folder is not there. */
  list(folder: string): Promise<readonly string[]>
}

/** Folders of the workspace for larger files. */
export interface Folders {
  /** Releases as `.seal` files. */
  readonly releases: FileRef
  /** What a device keeps: packages, encrypted. */
  readonly slots: FileRef
}
