import type { HashedFile } from "../core/attest/model-signing.ts"
import { sortByName, toRootDigest } from "../core/attest/model-resource.ts"

/** Root digest (hex) of the signed list of these files: names the plaintext in the grant (OMS v1.0, 6.5.1). */
export function modelRoot(files: readonly HashedFile[]): string {
  return toRootDigest(
    sortByName(files).map(({ name, sha256 }) => ({
      path: name,
      range: null,
      algorithm: "sha256",
      digest: sha256,
    })),
  )
}
