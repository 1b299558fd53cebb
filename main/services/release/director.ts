/** The director's word to each device: made for a whole ring in one step, signed by a key that signs alone. */
import { z } from "zod"
import { createDeviceId } from "../../core/policy/device-id.ts"
import {
  deploymentTargetSchema,
  toDeployment,
  type Deployment,
  type DeploymentTarget,
} from "../../core/policy/deployment.ts"
import { releasePath } from "../../core/policy/release.ts"
import { toSnapshot, toTimestamp } from "../../core/tuf/fresh.ts"
import { parseMetadata } from "../../core/tuf/metadata.ts"
import { expiryAfter, type TrustPlan } from "../../core/tuf/plan.ts"
import { toMetadataBytes } from "../../core/tuf/signing.ts"
import { logAct } from "../log/trust-log.ts"
import type { Ports } from "../ports.ts"
import { inParallel } from "../registry/in-parallel.ts"
import { ownKeys, signAlone, type OwnKeys } from "../trust/own-keys.ts"
import { currentPlan } from "../trust/publish.ts"
import { Repository } from "../trust/repository.ts"

/** Words that are signed and written at a time. */
export const AT_ONCE = 16

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

/**
 * The last word to every device again, signed by the keys the director has now: after its keys changed, or to hold longer. A
 * device goes on with what it runs. Nothing is said to a device that never heard anything, and nothing at all where the
 * director's keys are elsewhere. Returns how many were told.
 */
export async function redirectFleet(ports: Ports): Promise<number> {
  const plan = await currentPlan(ports)
  const own = await ownKeys(ports)
  const { director } = plan.roles
  if (director.keys.filter(({ keyId }) => own.has(keyId)).length < director.threshold) return 0
  let told = 0
  await inParallel(await ports.devices.list(), AT_ONCE, async ({ recipient }) => {
    const deviceId = createDeviceId(recipient)
    const word = await directedAt(ports, deviceId, await deviceRepository(ports, deviceId).timestampVersion())
    if (word === null) return
    await direct(ports, plan, own, { recipient, ring: word.ring, target: word.target })
    told += 1
  })
  if (told > 0) await logAct(ports, { act: "direct", what: `${told} devices told again`, digests: [] })
  return told
}

const targetSchema = z.looseObject({
  length: z.number(),
  hashes: z.looseObject({ sha256: z.string() }),
  custom: deploymentTargetSchema,
})
const signedSchema = z.looseObject({
  targets: z.record(z.string(), targetSchema),
  "x-sealwright-deployment": z.looseObject({ counter: z.number(), ring: z.string() }),
})

/** What a device was told last. */
export interface Directed extends Pick<Deployment, "counter" | "ring"> {
  readonly release: string | null
  readonly package: string | null
  readonly grant: string | null
  readonly expires: string
  /** What it takes to say the same again. */
  readonly target: Order["target"]
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
    release: entry === undefined ? null : entry[0].slice(releasePath("").length),
    package: entry?.[1].custom.ociManifest ?? null,
    grant: entry?.[1].custom.grant ?? null,
    expires: signed.expires,
    target: entry === undefined ? null : toTarget(...entry),
  }
}

function toTarget(path: string, entry: z.infer<typeof targetSchema>): Order["target"] {
  const { deviceId, encryption, ...custom } = entry.custom
  void [deviceId, encryption]
  return {
    release: path.slice(releasePath("").length),
    length: entry.length,
    sha256: entry.hashes.sha256,
    custom,
  }
}
