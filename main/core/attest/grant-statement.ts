/**
 * Statements about grants (docs/FORMAT.md 7.2): one signature for up to 128 of them, so that a fleet of a thousand devices
 * costs eight. The statement about the only grant of a package is attached to the grant; others are attached to the package, and
 * say between which digests their grants lie, so that a device finds its own without reading the others.
 */
import { AppError } from "../../contract/errors.ts"
import { readBundle } from "./bundle.ts"
import { attestationType, readStatement, toStatementBytes } from "./statement.ts"

/** Keeps a bundle at some 16 KB. */
const GRANTS_A_STATEMENT = 128
/** Annotation of a bundle's manifest. A hint for finding it; what is signed decides. */
const RANGE = "vnd.sealwright.grants"
const RANGE_TEXT = /^([0-9a-f]{64})-([0-9a-f]{64})$/

/** Digests of grants as they are signed together: sorted, so that each statement is about a range of its own. */
export function grantBatches(digests: readonly string[]): readonly (readonly string[])[] {
  const sorted = [...new Set(digests)].sort()
  const batches: string[][] = []
  for (let from = 0; from < sorted.length; from += GRANTS_A_STATEMENT)
    batches.push(sorted.slice(from, from + GRANTS_A_STATEMENT))
  return batches
}

/** The statement to sign. `createdAt`: RFC 3339. */
export function grantStatement(digests: readonly string[], createdAt: string): Uint8Array {
  const subjects = digests.map((digest) => ({ name: "", digest: { sha256: hexOf(digest) } }))
  return toStatementBytes(
    { subjects, predicateType: attestationType("grant"), predicate: { createdAt } },
    "compact",
  )
}

/**
 * The grants a bundle is about, as it says without its signature having been checked; `null` when it is about something else or
 * cannot be read.
 */
export function grantsSaid(bundle: Uint8Array): ReadonlySet<string> | null {
  try {
    const { predicateType, subjects } = readStatement(readBundle(bundle).envelope.payload)
    if (predicateType !== attestationType("grant")) return null
    return new Set(
      subjects.flatMap(({ digest: { sha256 } }) => (sha256 === undefined ? [] : `sha256:${sha256}`)),
    )
  } catch (error) {
    if (error instanceof AppError) return null
    throw error
  }
}

/** Annotations that say where the grants of a statement lie. */
export function rangeOf(digests: Iterable<string>): Readonly<Record<string, string>> {
  const sorted = [...digests].map(hexOf).sort()
  const [first] = sorted
  return first === undefined ? {} : { [RANGE]: `${first}-${sorted.at(-1) ?? first}` }
}

/** Whether a bundle with these annotations may be about the grant. One that says nothing may be about any. */
export function mayBeAbout(annotations: Readonly<Record<string, string>>, digest: string): boolean {
  const [, first = "", last = ""] = RANGE_TEXT.exec(annotations[RANGE] ?? "") ?? []
  return first === "" || (first <= hexOf(digest) && hexOf(digest) <= last)
}

function hexOf(digest: string): string {
  return digest.slice("sha256:".length)
}
