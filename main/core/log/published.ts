/** What travels with a release to show that the desk's log holds its publication (docs/FORMAT.md 10.8): the entry and its proof. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseJson } from "../bytes/json.ts"
import { checkProofFile } from "./checkpoint.ts"
import { leafHash } from "./merkle.ts"
import { ecdsaVerifier } from "./note.ts"

export interface Published {
  readonly entry: Uint8Array
  readonly proof: Uint8Array
}

/** Largest entry and proof, bytes. */
export const MAX_PUBLISHED_BYTES = 1 << 16

/** Names of both in trust metadata; `sha256` is that of the release index, hex. */
export function publishedNames(sha256: string): { readonly entry: string; readonly proof: string } {
  return { entry: `log/${sha256}.json`, proof: `log/${sha256}.tlog-proof` }
}

const entrySchema = z.looseObject({
  act: z.literal("publish"),
  time: z.string(),
  digests: z.array(z.string()),
})

/**
 * Where and when the log says that the release was published. Throws LOG_MALFORMED, LOG_INCONSISTENT when the log does not hold
 * the entry or the entry is about something else, LOG_UNSIGNED when none of `pems` (P-256) signed the checkpoint.
 */
export function checkPublished(
  { entry, proof }: Published,
  sha256: string,
  pems: readonly string[],
): { readonly index: bigint; readonly size: bigint; readonly time: string } {
  const text = Buffer.from(proof).toString("utf8")
  const origin = text.slice(text.indexOf("\n\n") + 2).split("\n")[0] ?? ""
  const verifiers = pems.map((pem) => ecdsaVerifier(origin, pem))
  const { index, checkpoint } = checkProofFile(proof, leafHash(entry), verifiers)
  const said = entrySchema.safeParse(parseJson(entry, "the entry of the log"))
  if (!said.success || !said.data.digests.includes(`sha256:${sha256}`))
    throw new AppError("LOG_INCONSISTENT", "the entry of the log is not about this release")
  return { index, size: checkpoint.size, time: said.data.time }
}
