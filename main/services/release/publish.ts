/** Out to a ring: the managers sign the release, the director tells every device of the ring. */
import { AppError } from "../../contract/errors.ts"
import type { Published, Revoke, Revoked } from "../../contract/schema/release.ts"
import { createDeviceId } from "../../core/policy/device-id.ts"
import type { Run } from "../../core/policy/words.ts"
import type { TrustPlan } from "../../core/tuf/plan.ts"
import { issuedFor } from "../issued-grants.ts"
import type { JobContext } from "../jobs.ts"
import { logAct, provePublished } from "../log/trust-log.ts"
import type { Ports } from "../ports.ts"
import { changeTrust } from "../trust/change.ts"
import { ownKeys } from "../trust/own-keys.ts"
import { currentPlan, keepFresh } from "../trust/publish.ts"
import { direct, lastDirected, type Order } from "./director.ts"
import { judgeGates } from "./gates.ts"
import { findRing, leaveRings } from "./rings.ts"
import {
  nextCounter,
  pendingFor,
  signedReleases,
  signReleases,
  type SignedRelease,
} from "./signed-releases.ts"
import { findRelease, keepIndex, keepRelease, openRelease, type OpenRelease } from "./store.ts"

export function publishTitle(name: string): string {
  return `release ${name}`
}

/**
 * Throws RELEASE_GATE while a gate is closed, TRUST_INCOMPLETE until enough managers signed, PACKAGE_NOT_FOR_DEVICE when the
 * release has no grant for a device of the ring: then no device of the ring is told anything.
 */
export async function publishRelease(
  ports: Ports,
  name: string,
  ring: string,
  job: JobContext,
): Promise<Published> {
  const startedAt = performance.now()
  const plan = await currentPlan(ports)
  const { devices } = await findRing(ports, ring)
  const release = await openRelease(ports, name)
  try {
    checkGates(release, plan, ports.now())
    const orders = await ordersFor(ports, release, ring, devices)
    const signed = await signRelease(ports, plan, release)
    const own = await ownKeys(ports)
    await keepIndex(ports, release.index)
    const control = job.step(`direct ${ring}`, orders.length, "rows")
    const until = await direct(
      ports,
      plan,
      own,
      orders.map((order) => withRelease(order, signed)),
      (told) => {
        job.signal.throwIfAborted()
        control.progress(told)
      },
    )
    const expires = await keepFresh(ports, plan, until)
    await logAct(ports, {
      act: "publish",
      what: `${name} to ${ring}, ${orders.length} ${orders.length === 1 ? "device" : "devices"}`,
      digests: [release.index.descriptor.digest],
    })
    await provePublished(ports, release.index.descriptor.digest.slice("sha256:".length))
    return {
      release: name,
      counter: signed.releaseCounter,
      ring,
      devices: orders.length,
      expires,
      seconds: (performance.now() - startedAt) / 1000,
    }
  } finally {
    await release.file.close()
  }
}

/** A release that is out already, to one more ring. Throws RELEASE_GATE for one that is not. */
export async function promoteRelease(
  ports: Ports,
  name: string,
  ring: string,
  job: JobContext,
): Promise<Published> {
  const { releases } = await signedReleases(ports)
  if (!releases.some((each) => each.name === name))
    throw new AppError("RELEASE_GATE", `release ${name} is in no ring yet: publish it first`)
  return publishRelease(ports, name, ring, job)
}

/**
 * The packages of an older release again, as a new release: counters only grow, so devices take it although its content is
 * old, and the managers sign for it.
 */
export async function rollbackRing(
  ports: Ports,
  ring: string,
  to: string,
  job: JobContext,
): Promise<Published> {
  const target = await findRelease(ports, to)
  if (target === null) throw new AppError("RELEASE_NOT_FOUND", `there is no release ${to}`)
  const signed = await signedReleases(ports)
  if (!signed.releases.some((each) => each.name === to))
    throw new AppError("RELEASE_GATE", `release ${to} was never out`)
  const pendingName = `${to}.again-${nextCounter(signed)}`
  if ((await findRelease(ports, pendingName)) === null)
    await keepRelease(ports, { ...target, name: pendingName, createdAt: ports.now().toISOString() })
  return publishRelease(ports, pendingName, ring, job)
}

export async function revoke(ports: Ports, request: Revoke): Promise<Revoked> {
  const plan = await currentPlan(ports)
  if (request.kind === "key") {
    const own = (await ports.keys.list()).find((key) => key.name === request.key && key.purpose === "signing")
    const { pending } = await changeTrust(ports, {
      kind: "remove-key",
      role: null,
      key: own === undefined ? request.key : await keyIdOf(ports, own.name),
      threshold: null,
    })
    return { what: `key ${request.key}`, pending }
  }
  if (request.kind === "device") {
    const deviceId = createDeviceId((await ports.devices.find(request.name)).recipient)
    const ring = (await lastDirected(ports, deviceId))?.ring ?? ""
    await direct(ports, plan, await ownKeys(ports), [{ deviceId, ring, run: null }])
    await logAct(ports, { act: "revoke", what: "one device runs nothing from now on", digests: [] })
    // The next release to its ring would tell it to run again otherwise.
    const rings = await leaveRings(ports, request.name)
    return {
      what: [`device ${request.name}`, ...rings.map((name) => `out of ring ${name}`)].join(", "),
      pending: null,
    }
  }
  const signed = await signedReleases(ports)
  const title = `revoke ${request.digest.slice(0, 19)}…`
  const revoked = [...new Set([...signed.revoked, request.digest])]
  try {
    await signReleases(ports, plan, title, { ...signed, revoked })
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "TRUST_INCOMPLETE") throw error
  }
  return { what: `package ${request.digest}`, pending: await pendingFor(ports, title) }
}

async function keyIdOf(ports: Ports, name: string): Promise<string> {
  for (const [keyId, key] of await ownKeys(ports)) if (key.name === name) return keyId
  throw new AppError("KEY_NOT_FOUND", `there is no signing key ${name}`)
}

function checkGates(release: OpenRelease, plan: TrustPlan, now: Date): void {
  const closed = judgeGates(release, plan, now).gates.filter(({ isOpen }) => !isOpen)
  if (closed.length === 0) return
  const reasons = closed.map(({ gate, detail }) => `${gate}: ${detail}`).join("; ")
  throw new AppError("RELEASE_GATE", `release ${release.record.name} may not go out: ${reasons}`)
}

/** The release in the managers' list; signed now unless it is there. */
async function signRelease(ports: Ports, plan: TrustPlan, release: OpenRelease): Promise<SignedRelease> {
  const { name, hardwareIds } = release.record
  const before = await signedReleases(ports)
  const known = before.releases.find((each) => each.name === name)
  if (known !== undefined) return known
  const { digest, size } = release.index.descriptor
  const made: SignedRelease = {
    name,
    length: size,
    sha256: digest.slice("sha256:".length),
    releaseCounter: nextCounter(before),
    hardwareIds: [...hardwareIds],
  }
  await signReleases(ports, plan, publishTitle(name), { ...before, releases: [...before.releases, made] })
  return made
}

/** The part of an order that the release does not say. */
interface OpenOrder extends Omit<Order, "run"> {
  readonly grant: Pick<Run, "ociManifest" | "grant" | "policy">
}

async function ordersFor(
  ports: Ports,
  release: OpenRelease,
  ring: string,
  devices: readonly string[],
): Promise<readonly OpenOrder[]> {
  const grants = new Map<string, OpenOrder["grant"]>()
  for (const { digest } of release.contents.packages) {
    for (const {
      grant,
      device,
      policy: { firewall, ...policy },
    } of await issuedFor(ports, digest)) {
      void firewall
      grants.set(device, { ociManifest: digest, grant, policy })
    }
  }
  const recipients = new Map((await ports.devices.list()).map(({ name, recipient }) => [name, recipient]))
  return devices.map((device) => {
    const grant = grants.get(device)
    if (grant === undefined)
      throw new AppError(
        "PACKAGE_NOT_FOR_DEVICE",
        `release ${release.record.name} has no grant for ${device}`,
      )
    const recipient = recipients.get(device)
    if (recipient === undefined) throw new AppError("DEVICE_NOT_FOUND", `there is no device ${device}`)
    return { deviceId: createDeviceId(recipient), ring, grant }
  })
}

function withRelease({ grant, ...order }: OpenOrder, signed: SignedRelease): Order {
  const { name, length, sha256, releaseCounter, hardwareIds } = signed
  return { ...order, run: { ...grant, release: name, length, sha256, releaseCounter, hardwareIds } }
}
