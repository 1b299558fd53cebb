/** Tags of grants (docs/FORMAT.md 3.5), which only the workspace that pushes can compute. */
import { wipe } from "../../core/bytes/bytes.ts"
import { deviceThumbprint, grantTag, releaseSecret } from "../../core/oci/grant-tag.ts"
import type { Digest } from "../../core/oci/manifest.ts"
import type { SealManifest } from "../../core/oci/seal-manifests.ts"
import { issuedFor } from "../issued-grants.ts"
import type { Ports } from "../ports.ts"

export interface TaggedGrant {
  readonly part: SealManifest
  readonly tag: string
}

/** `release`: what the release's tag points to. In the order of `grants`. */
export async function tagGrants(
  ports: Ports,
  {
    grants,
    packages,
  }: { readonly grants: readonly SealManifest[]; readonly packages: readonly SealManifest[] },
  release: Digest,
): Promise<readonly TaggedGrant[]> {
  const workspaceSecret = await ports.pushes.secret()
  const secret = releaseSecret(workspaceSecret, release)
  try {
    const devices = await thumbprints(ports, packages)
    return grants.map((part) => {
      const { digest } = part.blob.descriptor
      const stands = devices.get(digest) ?? Buffer.from(digest.slice("sha256:".length), "hex")
      return { part, tag: grantTag(secret, stands) }
    })
  } finally {
    wipe(workspaceSecret, secret)
  }
}

/** By grant digest: the devices of the grants this workspace issued. Of a file from elsewhere it knows none. */
async function thumbprints(
  ports: Ports,
  packages: readonly SealManifest[],
): Promise<ReadonlyMap<Digest, Uint8Array>> {
  const recipients = new Map((await ports.devices.list()).map(({ name, recipient }) => [name, recipient]))
  const found = new Map<Digest, Uint8Array>()
  for (const { blob } of packages) {
    for (const { grant, device } of await issuedFor(ports, blob.descriptor.digest)) {
      const recipient = recipients.get(device)
      if (recipient !== undefined) found.set(grant, deviceThumbprint(recipient))
    }
  }
  return found
}
