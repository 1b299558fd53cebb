/** The manifests of a .seal file as they were written, and where their blobs lie: what it takes to store them elsewhere. */
import { AppError } from "../../contract/errors.ts"
import { readAhead, sliceSource, type ByteSource } from "../bytes/source.ts"
import {
  parseIndex,
  parseManifest,
  sha256Digest,
  type Blob,
  type Descriptor,
  type Manifest,
} from "./manifest.ts"
import { readSealFile } from "./seal-file.ts"
import { readTar, type TarEntry } from "./tar.ts"

export interface SealManifest {
  readonly blob: Blob
  readonly manifest: Manifest
  /** Its layers, and where each starts in the file, bytes. */
  readonly layers: readonly { readonly descriptor: Descriptor; readonly offset: number }[]
}

/** In the order of the seal index. The file is checked as a whole first; throws what `readSealFile` throws. */
export async function readSealManifests(
  source: ByteSource,
  options: { readonly mayLackPackages?: boolean } = {},
): Promise<readonly SealManifest[]> {
  await readSealFile(source, options)
  const file = readAhead(source)
  const entries = new Map((await readTar(file)).map((entry) => [entry.name, entry]))
  const read = async (entry: TarEntry) =>
    Uint8Array.from(await sliceSource(file, entry.offset, entry.size).read(0, entry.size))
  const find = (name: string): TarEntry => {
    const entry = entries.get(name)
    if (entry === undefined) throw new AppError("SEAL_INCOMPLETE", `${name} is missing`)
    return entry
  }
  const blobEntry = ({ digest }: Descriptor) => find(`blobs/sha256/${digest.slice("sha256:".length)}`)
  const top = parseIndex(await read(find("index.json")), "index.json").manifests[0]
  if (top === undefined) throw new AppError("SEAL_MALFORMED", "index.json must refer to exactly one index")
  const index = parseIndex(await read(blobEntry(top)), "the seal index")
  const manifests: SealManifest[] = []
  for (const descriptor of index.manifests) {
    const bytes = await read(blobEntry(descriptor))
    // Between the two looks the file may have changed.
    if (sha256Digest(bytes) !== descriptor.digest)
      throw new AppError("FILE_CHANGED", "the package changed while it was read")
    const manifest = parseManifest(bytes)
    const layers = manifest.layers.map((layer) => ({ descriptor: layer, offset: blobEntry(layer).offset }))
    manifests.push({ blob: { descriptor, bytes }, manifest, layers })
  }
  return manifests
}
