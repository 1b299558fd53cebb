/** Where news of a device come from: what both repositories say, and the package once the director has named one. */
import { AppError } from "../../contract/errors.ts"
import type { Device } from "../../contract/schema/keys.ts"
import type { TrustedKeys } from "../../core/attest/trust.ts"
import { readSealFile, type SealContents, type SealPart } from "../../core/oci/seal-file.ts"
import type { Deployment } from "../../core/policy/deployment.ts"
import { binOf, createDeviceId } from "../../core/policy/device-id.ts"
import type { JobContext } from "../jobs.ts"
import { openGrant, readSignatures, wipeGranted } from "../package-access.ts"
import type { OpenFile, PendingFile, Ports } from "../ports.ts"
import { addTrustDocuments, attachBundles, copyParts, layerBytes } from "../seal-copy.ts"
import { SealWriter } from "../seal-writer.ts"
import type { Repositories } from "./repositories.ts"
import { sealSources } from "./seal-source.ts"

/** What a package is judged by before it is kept. */
export interface Wanted {
  readonly deployment: Deployment
  readonly device: Device
  /** The packagers of the trust root. */
  readonly trust: TrustedKeys
}

export interface News {
  readonly sources: Repositories
  /** Whether nothing was changed since the device looked last: then nothing of `sources` needs to be read. */
  readonly isUnchanged: boolean
  /** What to compare with next time; `null` for a file. */
  readonly seen: { readonly image: string; readonly device: string } | null
  /**
   * Writes package and grant, as they came, with their signatures. Signatures and grant are checked here: what is returned may
   * be committed. Returns the length of the package's manifest, bytes.
   */
  copy(output: PendingFile, wanted: Wanted, job: JobContext): Promise<number>
}

export async function newsInSeal(ports: Ports, file: OpenFile, device: Device): Promise<News> {
  const contents = await readSealFile(file, { mayLackPackages: true })
  const deviceId = createDeviceId(device.recipient)
  return {
    sources: sealSources(file, contents, deviceId),
    isUnchanged: false,
    seen: null,
    copy: async (output, { deployment, trust }, job) => {
      const part = find(contents.packages, deployment.ociManifest, "package")
      const grant = find(contents.grants, deployment.grant, "grant")
      const own: SealContents = { ...contents, packages: [part], grants: [grant] }
      readSignatures(own, trust, ports.now())
      // Opening the grant now tells that the device can use what it is about to copy.
      wipeGranted(await openGrant(ports, file, own, device))
      const writer = new SealWriter(output)
      const parts = [part, grant]
      await copyParts(writer, output, file, parts, job.step("copy package", layerBytes(parts)))
      await attachBundles(writer, parts, contents.bundles)
      await addTrustDocuments(writer, await trustDocuments(file, contents, deviceId))
      await writer.finish()
      return part.manifestBlob.bytes.length
    },
  }
}

/** What this device needs to judge the package again later, with no other file at hand. */
async function trustDocuments(
  file: OpenFile,
  contents: SealContents,
  deviceId: string,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const documents = new Map<string, Uint8Array>()
  for (const [name, { entry }] of contents.trust) {
    if (name.startsWith("devices/") && !name.startsWith(`devices/${binOf(deviceId)}/`)) continue
    documents.set(name, Uint8Array.from(await file.read(entry.offset, entry.size)))
  }
  return documents
}

function find(parts: readonly SealPart[], digest: string, what: string): SealPart {
  const found = parts.find((part) => part.digest === digest)
  if (found === undefined)
    throw new AppError("SEAL_INCOMPLETE", `the ${what} the director names is not in the file`)
  return found
}
