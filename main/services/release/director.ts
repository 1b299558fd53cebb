/**
 * The director's words to devices, signed by a key that signs alone: one document for all devices of a bin, so that a ring of
 * a thousand is told in sixteen. Whoever is not told anything new keeps his word and his counter.
 */
import { BINS, binOf, createDeviceId } from "../../core/policy/device-id.ts"
import { readWords, toWords, type Run, type Word } from "../../core/policy/words.ts"
import { toSnapshot, toTimestamp } from "../../core/tuf/fresh.ts"
import { parseMetadata, type MetadataByKind } from "../../core/tuf/metadata.ts"
import { expiryAfter, type TrustPlan } from "../../core/tuf/plan.ts"
import { toMetadataBytes } from "../../core/tuf/signing.ts"
import { logAct } from "../log/trust-log.ts"
import type { Ports } from "../ports.ts"
import { inParallel } from "../registry/in-parallel.ts"
import { ownKeys, signAlone, type OwnKeys } from "../trust/own-keys.ts"
import { currentPlan } from "../trust/publish.ts"
import { Repository } from "../trust/repository.ts"

/** Bins that are signed and written at a time. */
const BINS_AT_ONCE = 4

/** What a device is told; `run` null: to run nothing. */
export interface Order {
  readonly deviceId: string
  readonly ring: string
  readonly run: Run | null
}

export function binRepository(ports: Ports, bin: string): Repository {
  return new Repository(ports.documents, `tuf/devices/${bin}`)
}

/**
 * Signs and keeps the next word to each of these devices, whose counter grows by one; those of a bin at once. Returns until when
 * the words hold, `""` when there were none. `told`: called with how many devices were told so far.
 */
export async function direct(
  ports: Ports,
  plan: TrustPlan,
  own: OwnKeys,
  orders: readonly Order[],
  told: (devices: number) => void = () => {},
): Promise<string> {
  const expires = expiryAfter(ports.now(), plan.offlineDays)
  const bins = Map.groupBy(orders, ({ deviceId }) => binOf(deviceId))
  let done = 0
  await inParallel([...bins], BINS_AT_ONCE, async ([bin, some]) => {
    await directBin(ports, plan, own, bin, some, expires)
    done += some.length
    told(done)
  })
  return orders.length === 0 ? "" : expires
}

async function directBin(
  ports: Ports,
  plan: TrustPlan,
  own: OwnKeys,
  bin: string,
  orders: readonly Order[],
  expires: string,
): Promise<void> {
  const repository = binRepository(ports, bin)
  const before = await repository.timestampVersion()
  const words = new Map(await wordsAt(repository, before))
  const issuedAt = ports.now().toISOString()
  for (const order of orders) {
    const counter = (words.get(order.deviceId)?.counter ?? 0) + 1
    words.set(order.deviceId, { ...order, counter, issuedAt })
  }
  const version = before + 1
  const sign = async (signed: Parameters<typeof toMetadataBytes>[0]) =>
    toMetadataBytes(signed, await signAlone(ports, own, plan.roles.director, signed))
  const targets = await sign(toWords([...words.values()], version, expires))
  const snapshot = await sign(toSnapshot([{ role: "targets", version, bytes: targets }], version, expires))
  const timestamp = await sign(toTimestamp({ version, bytes: snapshot }, version, expires))
  await repository.write(`${version}.targets.json`, targets)
  await repository.write(`${version}.snapshot.json`, snapshot)
  // The timestamp last: until then a reader sees the words before.
  await repository.write("timestamp.json", timestamp)
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
  const known = await knownDevices(ports)
  const orders = [...(await lastWords(ports)).values()].filter(({ deviceId }) => known.has(deviceId))
  await direct(ports, plan, own, orders)
  const told = orders.length
  if (told > 0) await logAct(ports, { act: "direct", what: `${told} devices told again`, digests: [] })
  return told
}

async function knownDevices(ports: Ports): Promise<ReadonlySet<string>> {
  return new Set((await ports.devices.list()).map(({ recipient }) => createDeviceId(recipient)))
}

/** What a device was told last, and until when that holds. */
export interface Directed extends Word {
  readonly expires: string
}

export async function lastDirected(ports: Ports, deviceId: string): Promise<Directed | null> {
  return (await lastWordsOf(ports, binOf(deviceId))).get(deviceId) ?? null
}

/** The last word to every device that ever heard one, by device. */
export async function lastWords(ports: Ports): Promise<ReadonlyMap<string, Directed>> {
  const found = new Map<string, Directed>()
  for (const bin of BINS) for (const [id, word] of await lastWordsOf(ports, bin)) found.set(id, word)
  return found
}

async function lastWordsOf(ports: Ports, bin: string): Promise<ReadonlyMap<string, Directed>> {
  const repository = binRepository(ports, bin)
  const signed = await targetsAt(repository, await repository.timestampVersion())
  if (signed === null) return new Map()
  const { expires } = signed
  return new Map([...readWords(signed)].map(([id, word]) => [id, { ...word, expires }]))
}

/** Versions of a bin before the last whose grants may still have receipts. */
const VERSIONS_BACK = 16

/** By device: the grants it was sent to lately, each once, the newest first. */
export async function grantsSent(ports: Ports): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, Set<string>>()
  for (const bin of BINS) {
    const repository = binRepository(ports, bin)
    const last = await repository.timestampVersion()
    for (let version = last; version > Math.max(0, last - VERSIONS_BACK); version -= 1) {
      for (const [deviceId, { run }] of await wordsAt(repository, version)) {
        if (run === null) continue
        const grants = found.get(deviceId) ?? new Set()
        found.set(deviceId, grants.add(run.grant))
      }
    }
  }
  return new Map([...found].map(([deviceId, grants]) => [deviceId, [...grants]]))
}

async function wordsAt(repository: Repository, version: number): Promise<ReadonlyMap<string, Word>> {
  const signed = await targetsAt(repository, version)
  return signed === null ? new Map() : readWords(signed)
}

type SignedTargets = MetadataByKind["targets"]["signed"]

async function targetsAt(repository: Repository, version: number): Promise<SignedTargets | null> {
  const bytes = version === 0 ? null : await repository.read(`${version}.targets.json`)
  return bytes === null ? null : parseMetadata("targets", bytes, "the words to devices").signed
}
