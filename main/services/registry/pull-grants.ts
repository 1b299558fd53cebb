/**
 * The grants of packages, from `NAME/grants` (docs/FORMAT.md 3.5). Statements about many grants are attached to the package, and
 * name them; only a package with a single grant has that one's statement at the grant.
 */
import { AppError } from "../../contract/errors.ts"
import type { PullRequest } from "../../contract/schema/registry.ts"
import { grantsSaid, mayBeAbout } from "../../core/attest/grant-statement.ts"
import { isGrantTag } from "../../core/oci/grant-tag.ts"
import type { Digest } from "../../core/oci/manifest.ts"
import { MEDIA } from "../../core/oci/media-types.ts"
import type { Repository } from "../ports/registry.ts"
import { inParallel } from "./in-parallel.ts"
import {
  checkCount,
  findPart,
  isAbout,
  MANIFESTS_AT_ONCE,
  NO_RECEIPTS,
  NOTHING,
  readBundles,
  readParts,
  type Part,
} from "./parts.ts"

/** The packages with the statements about these grants, then the grants. Throws SEAL_INCOMPLETE for one that is missing. */
export async function withGrants(
  packages: readonly Part[],
  repository: Repository,
  grants: readonly Digest[],
): Promise<readonly Part[]> {
  const told = await withStatements(packages, repository, (annotations) =>
    grants.some((digest) => mayBeAbout(annotations, digest)),
  )
  const signed = new Set(told.flatMap(({ grants: named }) => [...named]))
  return [
    ...told.map(({ part }) => part),
    ...(await readParts(
      repository,
      grants.filter((digest) => signed.has(digest)),
      MEDIA.grant,
      NOTHING,
    )),
    ...(await readParts(
      repository,
      grants.filter((digest) => !signed.has(digest)),
      MEDIA.grant,
    )),
  ]
}

/**
 * The packages, then those grants that are wanted: under these tags, or all that are there. Of a repository with other releases
 * too, grants that are signed together come only with their own package.
 */
export async function withWantedGrants(
  packages: readonly Part[],
  repository: Repository,
  wanted: PullRequest["grants"],
): Promise<readonly Part[]> {
  if (wanted.kind === "tags")
    return wanted.tags.length === 0
      ? packages
      : withGrants(packages, repository, await grantsUnder(repository, wanted.tags))
  const told = await withStatements(packages, repository, () => true)
  const found = new Map<Digest, Part>()
  const look = async (digest: Digest, isSigned: boolean) => {
    const part = await findPart(repository, digest, MEDIA.grant, isSigned ? NOTHING : NO_RECEIPTS)
    if (part !== null && (isSigned || part.bundles.length > 0)) found.set(digest, part)
  }
  const named = [...new Set(told.flatMap(({ grants }) => [...grants]))]
  checkCount(named.length)
  await inParallel(named, MANIFESTS_AT_ONCE, async (digest) => look(digest, true))
  // A package that no shared statement speaks of may have a single grant, which only its tag leads to.
  if (told.some(({ grants }) => grants.size === 0)) {
    const tags = (await repository.tags()).filter((tag) => isGrantTag(tag))
    const others = (await grantsUnder(repository, tags)).filter((digest) => !found.has(digest))
    await inParallel(others, MANIFESTS_AT_ONCE, async (digest) => look(digest, false))
  }
  return [...told.map(({ part }) => part), ...found.values()]
}

async function withStatements(
  packages: readonly Part[],
  repository: Repository,
  isWanted: (annotations: Readonly<Record<string, string>>) => boolean,
): Promise<readonly { readonly part: Part; readonly grants: ReadonlySet<Digest> }[]> {
  const told = new Map<Digest, { readonly part: Part; readonly grants: ReadonlySet<Digest> }>()
  await inParallel(packages, MANIFESTS_AT_ONCE, async (part) => {
    const { digest } = part.blob.descriptor
    const statements = await readBundles(
      repository,
      digest,
      (bundle) => isAbout(bundle, "grant") && isWanted(bundle.annotations),
    )
    const grants = new Set(statements.flatMap(({ content }) => [...(grantsSaid(content.bytes) ?? [])]))
    told.set(digest, { part: { ...part, bundles: [...part.bundles, ...statements] }, grants })
  })
  return packages.flatMap(({ blob }) => told.get(blob.descriptor.digest) ?? [])
}

async function grantsUnder(repository: Repository, tags: readonly string[]): Promise<readonly Digest[]> {
  checkCount(tags.length)
  const found = new Map<string, Digest>()
  await inParallel(tags, MANIFESTS_AT_ONCE, async (tag) => {
    const digest = await repository.manifestDigest(tag)
    if (digest === null) throw new AppError("REGISTRY_NOT_FOUND", `${repository.name} has no grant ${tag}`)
    found.set(tag, digest)
  })
  return [...new Set(tags.flatMap((tag) => found.get(tag) ?? []))]
}
