/** A release as people look at it: state, gates, and everything that differs from the one before. */
import type { Change, Gate, Release } from "../../contract/schema/release.ts"
import { createDeviceId } from "../../core/policy/device-id.ts"
import type { ValidationPredicate } from "../../core/policy/release.ts"
import { issuedFor, type IssuedGrant } from "../issued-grants.ts"
import type { Ports } from "../ports.ts"
import { currentPlan } from "../trust/publish.ts"
import { lastWords } from "./director.ts"
import { judgeGates } from "./gates.ts"
import { publishTitle } from "./publish.ts"
import { pendingFor, signedReleases, type SignedReleases } from "./signed-releases.ts"
import { listReleases, openRelease, type OpenRelease } from "./store.ts"

export async function showRelease(ports: Ports, name: string): Promise<Release> {
  return describe(ports, name, await signedReleases(ports), await directed(ports))
}

export async function allReleases(ports: Ports): Promise<Release[]> {
  const signed = await signedReleases(ports)
  const now = await directed(ports)
  const records = [...(await listReleases(ports))].sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1))
  return Promise.all(records.map(async ({ name }) => describe(ports, name, signed, now)))
}

/** Rings that run each release now, from the director's words to the devices of this workspace. */
async function directed(ports: Ports): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const rings = new Map<string, Set<string>>()
  const words = await lastWords(ports)
  for (const { recipient } of await ports.devices.list()) {
    const word = words.get(createDeviceId(recipient))
    if (word === undefined || word.run === null) continue
    const found = rings.get(word.run.release) ?? new Set()
    rings.set(word.run.release, found.add(word.ring))
  }
  return rings
}

async function describe(
  ports: Ports,
  name: string,
  signed: SignedReleases,
  now: ReadonlyMap<string, ReadonlySet<string>>,
): Promise<Release> {
  const plan = await currentPlan(ports)
  const release = await openRelease(ports, name)
  try {
    const { gates, validations, approvedBy } = judgeGates(release, plan, ports.now())
    const counter = signed.releases.find((each) => each.name === name)?.releaseCounter ?? null
    const previous = previousOf(signed, name, counter)
    const facts = await factsOf(ports, release, validations)
    const before = previous === null ? null : await openFacts(ports, previous)
    return {
      name,
      state: stateOf(release, gates, signed, counter, now.has(name)),
      digest: release.index.descriptor.digest,
      createdAt: release.record.createdAt,
      counter,
      hardwareIds: [...release.record.hardwareIds],
      packages: release.contents.packages.map(({ digest }) => digest),
      payloadBytes: release.contents.packages.reduce((total, { layer }) => total + layer.size, 0),
      devices: facts.devices.split(", ").filter((device) => device !== ""),
      rings: [...(now.get(name) ?? [])].sort(),
      gates: [...gates],
      approvals: { by: [...approvedBy], needed: plan.gates.approvals },
      previous,
      changes: changesBetween(before, facts),
      pending: await pendingFor(ports, publishTitle(name)),
    }
  } finally {
    await release.file.close()
  }
}

/** Derived from what is signed (DESIGN, governance): nothing here is a flag somebody set. */
function stateOf(
  release: OpenRelease,
  gates: readonly Gate[],
  signed: SignedReleases,
  counter: number | null,
  isDirected: boolean,
): Release["state"] {
  if (release.contents.packages.some(({ digest }) => signed.revoked.includes(digest))) return "revoked"
  if (counter !== null) {
    if (isDirected) return "released"
    return signed.releases.some(({ releaseCounter }) => releaseCounter > counter) ? "retired" : "approved"
  }
  const isOpen = (name: Gate["gate"]) => gates.find(({ gate }) => gate === name)?.isOpen === true
  if (!isOpen("signatures") || !isOpen("validation")) return "draft"
  return isOpen("approvals") ? "approved" : "validated"
}

function previousOf(signed: SignedReleases, name: string, counter: number | null): string | null {
  const older = signed.releases.filter(
    (each) => each.name !== name && (counter === null || each.releaseCounter < counter),
  )
  return older.at(-1)?.name ?? null
}

interface Facts {
  /** Roots of the models as the devices assemble them: packages differ each time they are made, models do not. */
  readonly model: string
  readonly packages: string
  readonly payload: string
  readonly devices: string
  readonly hardware: string
  readonly policy: string
  readonly accuracy: string
  readonly latency: string
}

async function openFacts(ports: Ports, name: string): Promise<Facts> {
  const release = await openRelease(ports, name)
  try {
    const { validations } = judgeGates(release, await currentPlan(ports), ports.now())
    return await factsOf(ports, release, validations)
  } finally {
    await release.file.close()
  }
}

async function factsOf(
  ports: Ports,
  { contents, record }: OpenRelease,
  validations: ReadonlyMap<string, ValidationPredicate>,
): Promise<Facts> {
  const issued: IssuedGrant[] = []
  for (const { digest } of contents.packages) issued.push(...(await issuedFor(ports, digest)))
  const measured = [...validations.values()]
  return {
    model: distinct(issued.map(({ model }) => (model === undefined ? "unknown" : `sha256:${model}`))).join(
      ", ",
    ),
    packages: contents.packages.map(({ digest }) => digest).join(", "),
    payload: `${contents.packages.reduce((total, { layer }) => total + layer.size, 0)} bytes`,
    devices: issued
      .map(({ device }) => device)
      .sort()
      .join(", "),
    hardware: record.hardwareIds.join(", "),
    policy: distinct(issued.map(({ policy }) => JSON.stringify(policy))).join("; "),
    accuracy: distinct(measured.map(accuracyText)).join("; ") || NOT_MEASURED,
    latency: distinct(measured.map(latencyText)).join("; ") || NOT_MEASURED,
  }
}

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort()
}

const NOT_MEASURED = "not measured"

function changesBetween(before: Facts | null, after: Facts): Change[] {
  return FACTS.map((what) => ({ what, before: before?.[what] ?? "", after: after[what] })).filter(
    (change) => change.before !== change.after,
  )
}

const FACTS = [
  "model",
  "packages",
  "payload",
  "devices",
  "hardware",
  "policy",
  "accuracy",
  "latency",
] as const

function accuracyText({ accuracy }: ValidationPredicate): string {
  if (accuracy === undefined || accuracy === null) return NOT_MEASURED
  return `${accuracy.kind} ${accuracy.sealed} (plain ${accuracy.plain})`
}

function latencyText({ latencyMs: latency }: ValidationPredicate): string {
  if (latency === undefined) return NOT_MEASURED
  return `p50 ${latency.sealed.p50.toFixed(2)} ms (plain ${latency.plain.p50.toFixed(2)} ms)`
}
