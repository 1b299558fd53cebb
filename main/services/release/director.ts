/** The director's word to each device: made for a whole ring in one step, signed by a key that signs alone. */
import { z } from "zod"
import { createDeviceId } from "../../core/policy/device-id.ts"
import { toDeployment, type Deployment, type DeploymentTarget } from "../../core/policy/deployment.ts"
import { toSnapshot, toTimestamp } from "../../core/tuf/fresh.ts"
import { parseMetadata } from "../../core/tuf/metadata.ts"
import { expiryAfter, type TrustPlan } from "../../core/tuf/plan.ts"
import { toMetadataBytes } from "../../core/tuf/signing.ts"
import type { Ports } from "../ports.ts"
import { signAlone, type OwnKeys } from "../trust/own-keys.ts"
import { Repository } from "../trust/repository.ts"

/** What a device is told; `release` null: to run nothing. */
export interface Order {
  readonly recipient: string
  readonly ring: string
  readonly target: {
    readonly release: string
    readonly length: number
    readonly sha256: string
    readonly custom: Omit<DeploymentTarget, "deviceId" | "encryption">
  } | null
}

export function deviceRepository(ports: Ports, deviceId: string): Repository {
  return new Repository(ports.documents, `tuf/devices/${deviceId}`)
}

/** Signs and keeps the next word to one device; its counter is its version. Returns until when it holds. */
export async function direct(ports: Ports, plan: TrustPlan, own: OwnKeys, order: Order): Promise<string> {
  const deviceId = createDeviceId(order.recipient)
  const repository = deviceRepository(ports, deviceId)
  const version = (await repository.timestampVersion()) + 1
  const now = ports.now()
  const expires = expiryAfter(now, plan.offlineDays)
  const head = { deviceId, counter: version, ring: order.ring, issuedAt: now.toISOString() }
  const encryption = { format: "age-encryption.org/v1", recipient: order.recipient } as const
  const target =
    order.target === null
      ? null
      : { ...order.target, custom: { ...order.target.custom, deviceId, encryption } }
  const sign = async (signed: Parameters<typeof toMetadataBytes>[0]) =>
    toMetadataBytes(signed, await signAlone(ports, own, plan.roles.director, signed))
  const targets = await sign(toDeployment(head, target, version, expires))
  const snapshot = await sign(toSnapshot([{ role: "targets", version, bytes: targets }], version, expires))
  const timestamp = await sign(toTimestamp({ version, bytes: snapshot }, version, expires))
  await repository.write(`${version}.targets.json`, targets)
  await repository.write(`${version}.snapshot.json`, snapshot)
  // The timestamp last: until then a reader sees the word before.
  await repository.write("timestamp.json", timestamp)
  return expires
}

const signedSchema = z.looseObject({
  targets: z.record(
    z.string(),
    z.looseObject({ custom: z.looseObject({ ociManifest: z.string(), grant: z.string() }) }),
  ),
  "x-sealwright-deployment": z.looseObject({ counter: z.number(), ring: z.string() }),
})

/** What a device was told last. */
export interface Directed extends Pick<Deployment, "counter" | "ring"> {
  readonly release: string | null
  readonly package: string | null
  readonly grant: string | null
  readonly expires: string
}

export async function lastDirected(ports: Ports, deviceId: string): Promise<Directed | null> {
  return directedAt(ports, deviceId, await deviceRepository(ports, deviceId).timestampVersion())
}

/** Words before the last whose receipts are still looked for. */
const WORDS_BACK = 8

/** Grants a device was sent to lately, each once, the newest first. */
export async function grantsOf(ports: Ports, deviceId: string): Promise<readonly string[]> {
  const last = await deviceRepository(ports, deviceId).timestampVersion()
  const grants = new Set<string>()
  for (let version = last; version > Math.max(0, last - WORDS_BACK); version -= 1) {
    const grant = (await directedAt(ports, deviceId, version))?.grant
    if (grant !== undefined && grant !== null) grants.add(grant)
  }
  return [...grants]
}

async function directedAt(ports: Ports, deviceId: string, version: number): Promise<Directed | null> {
  const repository = deviceRepository(ports, deviceId)
  const bytes = version === 0 ? null : await repository.read(`${version}.targets.json`)
  if (bytes === null) return null
  const { signed } = parseMetadata("targets", bytes, "the deployment")
  const { targets, "x-sealwright-deployment": head } = signedSchema.parse(signed.toJSON())
  const [entry] = Object.entries(targets)
  return {
    counter: head.counter,
    ring: head.ring,
    release: entry === undefined ? null : entry[0].replace(/^releases\//, ""),
    package: entry?.[1].custom.ociManifest ?? null,
    grant: entry?.[1].custom.grant ?? null,
    expires: signed.expires,
  }
}
