import type { FileRef } from "../../contract/schema/base.ts"
import type { PackageEntry, PackageFacts } from "../../contract/schema/library.ts"

/** Where the packages of a workspace lie. Losing it loses no package. */
export interface PackageLibrary {
  /** Adds the package, or replaces what was known of the same path. */
  remember(file: FileRef, facts: PackageFacts): Promise<PackageEntry>
  list(): Promise<readonly PackageEntry[]>
  /** Throws FILE_NOT_FOUND. */
  forget(file: FileRef): Promise<PackageEntry>
}
