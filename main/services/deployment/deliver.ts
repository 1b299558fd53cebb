/** Receipts on their way to the registry: each is attached to the grant it came from, in the repository of the grants. */
import { AppError } from "../../contract/errors.ts"
import type { Delivered } from "../../contract/schema/deployment.ts"
import type { Device } from "../../contract/schema/keys.ts"
import { readBundle } from "../../core/attest/bundle.ts"
import { attestationType, readStatement } from "../../core/attest/statement.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { blobOf, bundleManifest } from "../../core/oci/manifest.ts"
import { EMPTY_CONFIG, EMPTY_CONFIG_BYTES, MEDIA } from "../../core/oci/media-types.ts"
import type { Ports } from "../ports.ts"
import type { Repository } from "../ports/registry.ts"
import { receiptSchema } from "./receipts.ts"
import { folderOf } from "./state.ts"

/**
 * Attaches what no registry has taken yet. A registry that does not let the device write is no failure of the device: what it
 * did not take waits for another way back.
 */
export async function deliverReceipts(
  ports: Ports,
  device: Device,
  repository: Repository,
): Promise<Delivered> {
  const waiting = await waitingReceipts(ports, device)
  const grants = repository.below("grants")
  let delivered = 0
  for (const name of waiting) {
    try {
      const isAttached = await attachReceipt(ports, grants, `${folderOf(device)}/receipts/${name}`)
      if (!isAttached) continue
    } catch (error) {
      if (!(error instanceof AppError) || !error.code.startsWith("REGISTRY_")) throw error
      break
    }
    await ports.documents.write(`${folderOf(device)}/delivered/${name}`, toUtf8(ports.now().toISOString()))
    delivered += 1
  }
  return { delivered, waiting: waiting.length - delivered }
}

/** Names of receipts that wait. */
async function waitingReceipts(ports: Ports, device: Device): Promise<readonly string[]> {
  const delivered = new Set(await ports.documents.list(`${folderOf(device)}/delivered`))
  return (await ports.documents.list(`${folderOf(device)}/receipts`)).filter((name) => !delivered.has(name))
}

/** Whether it had a place: a receipt from before grants were named in them goes by file. */
async function attachReceipt(ports: Ports, grants: Repository, name: string): Promise<boolean> {
  const bytes = await ports.documents.read(name)
  if (bytes === null) return false
  const { predicate } = readStatement(readBundle(bytes).envelope.payload)
  const { grant, time } = receiptSchema.parse(predicate)
  if (grant === undefined) return false
  const subject = await grants.manifest(grant)
  if (subject === null)
    throw new AppError("REGISTRY_NOT_FOUND", `${grants.name} does not have the grant of a receipt`)
  const bundle = blobOf(MEDIA.bundle, bytes)
  await grants.putBlob(EMPTY_CONFIG, { kind: "bytes", bytes: EMPTY_CONFIG_BYTES })
  await grants.putBlob(bundle.descriptor, { kind: "bytes", bytes })
  const manifest = bundleManifest(subject.descriptor, bundle.descriptor, attestationType("receipt"), time)
  await grants.putManifest(manifest, null)
  return true
}
