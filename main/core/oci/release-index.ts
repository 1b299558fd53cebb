/** What a tag points to when a release has a package for each device: an index of the packages (docs/FORMAT.md 3.5). */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { toUtf8 } from "../bytes/bytes.ts"
import { parseJson } from "../bytes/json.ts"
import { blobOf, parseIndex, type Blob, type Descriptor } from "./manifest.ts"
import { MEDIA } from "./media-types.ts"

const RELEASE_TYPE = "application/vnd.sealwright.release.v1+json"

/** The same packages make the same index, whatever order they come in. */
export function releaseIndex(packages: readonly Descriptor[]): Blob {
  const manifests = packages
    .map(({ mediaType, digest, size }) => ({ mediaType, digest, size }))
    .toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
  return blobOf(
    MEDIA.index,
    toUtf8(
      JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.index, artifactType: RELEASE_TYPE, manifests }),
    ),
  )
}

/**
 * The packages a tag stands for: itself, or those its index lists. Throws SEAL_MALFORMED when it is neither a package nor a
 * release.
 */
export function packagesOf({ descriptor, bytes }: Blob): readonly Descriptor[] {
  const head = headSchema.safeParse(parseJson(bytes, "the manifest"))
  if (head.data?.artifactType === MEDIA.package) return [descriptor]
  if (head.data?.artifactType !== RELEASE_TYPE)
    throw new AppError("SEAL_MALFORMED", "the tag points to something that is not a Sealwright package")
  const { manifests } = parseIndex(bytes, "the release index")
  if (manifests.length === 0) throw new AppError("SEAL_INCOMPLETE", "the release holds no package")
  return manifests
}

const headSchema = z.looseObject({ artifactType: z.string().optional() })
