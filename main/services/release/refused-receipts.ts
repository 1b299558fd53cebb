/** Receipts that did not count, and why: kept by the device they were found at, or say they are of, until the same ones do count. */
import { z } from "zod"
import { AppError, errorCodes } from "../../contract/errors.ts"
import type { FleetDevice } from "../../contract/schema/release.ts"
import { readBundle } from "../../core/attest/bundle.ts"
import { readStatement } from "../../core/attest/statement.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import type { Digest } from "../../core/oci/manifest.ts"
import { readJson } from "../../core/policy/release.ts"
import { receiptSchema } from "../deployment/receipts.ts"
import type { Ports } from "../ports.ts"

/** Whom a receipt says it is of, before anybody believes it: a refusal is counted with that device, if there is one. */
export function claimedDevice(bundle: Uint8Array, names: ReadonlyMap<string, string>): string {
  try {
    const said = receiptSchema.safeParse(readStatement(readBundle(bundle).envelope.payload).predicate)
    return said.success && names.has(said.data.deviceId) ? said.data.deviceId : NOBODY
  } catch (error) {
    if (error instanceof AppError) return NOBODY
    throw error
  }
}

const NOBODY = "unknown"

type Refusals = NonNullable<FleetDevice["receipts"]["refusals"]>

/** Refusals kept of one device: whoever can write to a registry could fill the desk's disk with wrong receipts otherwise. */
export const MAX_REFUSALS = 256

/** Once: the same one found again is as old as it was. Beyond MAX_REFUSALS nothing more is kept. */
export async function keepRefused(
  ports: Ports,
  deviceId: string,
  digest: Digest,
  { code, message }: AppError,
): Promise<void> {
  const name = nameOf(deviceId, digest)
  if ((await ports.documents.read(name)) !== null) return
  if ((await ports.documents.list(folderOf(deviceId))).length >= MAX_REFUSALS) return
  const refusal: Refusals[number] = {
    code,
    reason: message.slice(0, MAX_REASON),
    at: ports.now().toISOString(),
  }
  await ports.documents.write(name, toUtf8(JSON.stringify(refusal)))
}

const MAX_REASON = 300

/** The first ones there were had no reason and no time. */
const refusalSchema = z.looseObject({
  code: z.enum(errorCodes),
  reason: z.string().default(""),
  at: z.string().default(""),
})

/** In the order they came. */
export async function refusalsOf(ports: Ports, deviceId: string): Promise<Refusals> {
  const folder = folderOf(deviceId)
  const refusals: Refusals = []
  for (const name of await ports.documents.list(folder)) {
    const bytes = await ports.documents.read(`${folder}/${name}`)
    if (bytes === null) continue
    const { code, reason, at } = readJson(refusalSchema, bytes, "a refused receipt")
    refusals.push({ code, reason, at })
  }
  return refusals.sort((a, b) => (a.at < b.at ? -1 : 1))
}

/** The same receipt counts now: its device's key came later than it. */
export async function forgetRefusal(ports: Ports, deviceId: string, digest: Digest): Promise<void> {
  const name = nameOf(deviceId, digest)
  if ((await ports.documents.read(name)) !== null) await ports.documents.remove(name)
}

function folderOf(deviceId: string): string {
  return `receipts-refused/${deviceId}`
}

function nameOf(deviceId: string, digest: Digest): string {
  return `${folderOf(deviceId)}/${digest.slice("sha256:".length)}.json`
}
