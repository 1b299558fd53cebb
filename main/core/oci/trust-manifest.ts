/** Trust metadata in a registry (docs/FORMAT.md 10.6): which manifest stands under which tag of `NAME/trust`. */
import { AppError } from "../../contract/errors.ts"
import { parseManifest, type Descriptor, type Manifest } from "./manifest.ts"
import { MEDIA } from "./media-types.ts"

/** Tag of what all devices share: the image repository and the director's roots. */
export const SHARED_TAG = "image"
const BIN_NAME = /^devices\/([0-9a-f])\//
const SNAPSHOT = /\/(\d{1,15})\.snapshot\.json$/

/** Documents by name. Throws SEAL_MALFORMED for a manifest of another kind, and for a name that stands for two documents. */
export function trustDocuments(bytes: Uint8Array): ReadonlyMap<string, Descriptor> {
  return documentsOf(parseManifest(bytes))
}

function documentsOf({ artifactType, subject, layers }: Manifest): ReadonlyMap<string, Descriptor> {
  if (artifactType !== MEDIA.trust || subject !== undefined)
    throw new AppError("SEAL_MALFORMED", "a manifest of trust metadata was expected")
  const documents = new Map<string, Descriptor>()
  for (const layer of layers) {
    const name = layer.annotations?.["org.opencontainers.image.title"] ?? ""
    if (layer.mediaType !== MEDIA.trustLayer || name === "" || documents.has(name))
      throw new AppError("SEAL_MALFORMED", "a document of trust metadata has no name of its own")
    documents.set(name, layer)
  }
  return documents
}

/** Tag of the words to the devices of a bin. */
export function binTag(bin: string): string {
  return `devices-${bin}`
}

/** The tag: that of its bin for a manifest with words to devices, `image` for any other. */
export function trustTag(documents: ReadonlyMap<string, Descriptor>): string {
  for (const name of documents.keys()) {
    const bin = BIN_NAME.exec(name)?.[1]
    if (bin !== undefined) return binTag(bin)
  }
  return SHARED_TAG
}

/** Version of the newest snapshot listed, by its name; 0 without one. It only says what may be worth fetching. */
export function trustVersion(documents: ReadonlyMap<string, Descriptor>): number {
  return Math.max(0, ...[...documents.keys()].map((name) => Number(SNAPSHOT.exec(name)?.[1] ?? 0)))
}
