/** Two slots and one switch: a new package is on trial until somebody commits it, and the last good one is never touched. */
import { AppError, toAppError, type ErrorCode } from "../../contract/errors.ts"
import type { DeploymentStatus, Install, InstalledPackage, Slot } from "../../contract/schema/deployment.ts"
import type { Device } from "../../contract/schema/keys.ts"
import type { Verdict } from "../../contract/schema/verify.ts"
import type { Judged } from "../../core/policy/deployment.ts"
import { Checklist } from "../checklist.ts"
import type { JobContext } from "../jobs.ts"
import type { Ports } from "../ports.ts"
import { verify } from "../verify.ts"
import { checkSlot, findDeployed } from "./deployed.ts"
import { checkHealth } from "./health.ts"
import { writeReceipt } from "./receipts.ts"
import { activeSlot, keepState, otherOf, readState, statusOf, type DeviceState } from "./state.ts"
import { judgeKept } from "./judge.ts"
import { checkLog } from "./log-check.ts"

/** Puts what was fetched into the slot that is not in use, switches, and switches back by itself when it is not healthy. */
export async function installDevice(
  ports: Ports,
  request: Install,
  job: JobContext,
): Promise<DeploymentStatus> {
  const device = await ports.devices.find(request.device)
  const found = await readState(ports, device)
  const { incoming } = found
  // Before anything changes: news that came twice must not end the trial that began the first time.
  if (incoming === null) throw new AppError("SLOT_EMPTY", "nothing was fetched for this device")
  const before = await settled(ports, device, found)
  const judged = await judgeKept(ports, device, before)
  if (judged.deployment?.ociManifest !== incoming.package)
    throw new AppError("DEPLOYMENT_NONE", "the director does not name this package any more")
  const slot = otherOf(before.active)
  const dropped = before.slots[slot]
  const trial: DeviceState = {
    ...before,
    active: slot,
    incoming: null,
    slots: { ...before.slots, [slot]: { ...incoming, state: "trial" } },
    result: { what: "install", code: null, detail: `${incoming.release} is on trial` },
  }
  await keepState(ports, device, trial)
  if (dropped !== null && dropped.file !== incoming.file) await dropFile(ports, dropped)
  try {
    await checkHealth(withPackagers(ports, judged), await slotFile(ports, incoming), request, job.signal)
    return await statusOf(ports, device, trial)
  } catch (error) {
    const { code, message } = toAppError(error)
    await returnToLastGood(ports, device, trial, code, message)
    if (code === "CANCELLED") throw error
    throw new AppError("HEALTH_FAILED", `${incoming.release} is not healthy: ${message}`, { cause: error })
  }
}

/** The trial was good: the floors rise to it, and nothing older is accepted from now on. */
export async function commitDevice(ports: Ports, name: string): Promise<DeploymentStatus> {
  const device = await ports.devices.find(name)
  const state = await readState(ports, device)
  const { active } = state
  const slot = activeSlot(state)
  if (active === null || slot === null || slot.state !== "trial")
    throw new AppError("SLOT_EMPTY", "no package is on trial")
  await judgeKept(ports, device, state)
  await ports.floors.raise(device, {
    deployment: slot.counter,
    release: slot.releaseCounter,
  })
  const next: DeviceState = {
    ...state,
    slots: { ...state.slots, [active]: { ...slot, state: "good" } },
    result: { what: "commit", code: null, detail: `${slot.release} is in use` },
  }
  await keepState(ports, device, next)
  await writeReceipt(ports, device, next, slot, "committed", null)
  return statusOf(ports, device, next)
}

/**
 * Back to the other slot: during a trial always; after a commit only if the director's present word names what is in it, since
 * its counter is below the floor otherwise (DEPLOYMENT_REPLAYED).
 */
export async function rollbackDevice(ports: Ports, name: string): Promise<DeploymentStatus> {
  const device = await ports.devices.find(name)
  const state = await readState(ports, device)
  const slot = activeSlot(state)
  if (slot?.state === "trial") {
    const next = await returnToLastGood(ports, device, state, null, `back from ${slot.release}`)
    return statusOf(ports, device, next)
  }
  const other = otherOf(state.active)
  const target = state.slots[other]
  if (target === null || target.state === "failed")
    throw new AppError("SLOT_EMPTY", "the other slot holds nothing good")
  const { deployment } = await judgeKept(ports, device, state)
  if (deployment?.ociManifest !== target.package)
    throw new AppError(
      "DEPLOYMENT_REPLAYED",
      `the director does not send this device back to ${target.release}`,
    )
  const { release, releaseCounter, counter, expires, ring } = deployment
  const moved: Slot = { ...target, release, releaseCounter, counter, expires, ring }
  await ports.floors.raise(device, { deployment: counter, release: releaseCounter })
  const next: DeviceState = {
    ...state,
    active: other,
    slots: { ...state.slots, [other]: moved },
    incoming: null,
    result: { what: "rollback", code: null, detail: `back to ${target.release}` },
  }
  await keepState(ports, device, next)
  await writeReceipt(ports, device, next, moved, "committed", null)
  return statusOf(ports, device, next)
}

export async function deviceStatus(ports: Ports, name: string): Promise<DeploymentStatus> {
  const device = await ports.devices.find(name)
  return statusOf(ports, device, await readState(ports, device))
}

/** The file a device under deployment runs, judged now. Throws DEVICE_NOT_PROVISIONED for any other device. */
export async function installedPackage(ports: Ports, name: string): Promise<InstalledPackage> {
  const device = await ports.devices.find(name)
  await readState(ports, device)
  const deployed = await findDeployed(ports, device)
  if (deployed === null) throw new AppError("SLOT_EMPTY", `nothing is installed on ${name}`)
  return { release: deployed.slot.release, file: await slotFile(ports, deployed.slot) }
}

/** Everything about what this device runs, or is about to, judged again now: repositories, floors, signatures, every byte. */
export async function verifyDevice(ports: Ports, name: string, job: JobContext): Promise<Verdict> {
  const device = await ports.devices.find(name)
  const state = await readState(ports, device)
  const slot = state.incoming ?? activeSlot(state)
  if (slot === null) throw new AppError("SLOT_EMPTY", "the device has no package")
  const list = new Checklist()
  const judged = await list.check(
    "deployment",
    "10.4",
    "Director and release managers agree, nothing is old",
    async () => {
      const value = await checkSlot(ports, device, state, slot)
      const { release = "", counter = 0, expires = "", ociManifest = "" } = value.deployment ?? {}
      if (ociManifest !== slot.package)
        return { value, reason: `${slot.release} is in use, the director wants ${release}` }
      return { value, reason: `${release}, counter ${counter}, holds until ${expires}` }
    },
  )
  const sha256 = judged?.deployment?.sha256
  if (judged !== null && sha256 !== undefined) await checkLog(ports, device, list, judged, sha256)
  const inside = await verify(
    judged === null ? ports : withPackagers(ports, judged),
    { file: await slotFile(ports, slot), device: name, trust: null },
    job,
  )
  return {
    ...inside,
    verdict: list.hasFailed ? "refused" : inside.verdict,
    name: slot.release,
    checks: [...list.checks, ...inside.checks],
  }
}

/** A trial that was cut off is over: the last good slot is in use again. */
async function settled(ports: Ports, device: Device, state: DeviceState): Promise<DeviceState> {
  if (activeSlot(state)?.state !== "trial") return state
  return returnToLastGood(ports, device, state, null, "the trial was never committed")
}

async function returnToLastGood(
  ports: Ports,
  device: Device,
  state: DeviceState,
  code: ErrorCode | null,
  detail: string,
): Promise<DeviceState> {
  const { active } = state
  const slot = activeSlot(state)
  if (active === null || slot === null) return state
  const other = otherOf(active)
  const next: DeviceState = {
    ...state,
    active: state.slots[other]?.state === "good" ? other : null,
    slots: { ...state.slots, [active]: { ...slot, state: "failed" } },
    result: { what: "return", code, detail },
  }
  await keepState(ports, device, next)
  await writeReceipt(ports, device, next, slot, code === null ? "returned" : "failed", code)
  return next
}

async function slotFile(ports: Ports, { file }: Slot) {
  return ports.files.inFolder(ports.folders.slots, file)
}

async function dropFile(ports: Ports, slot: Slot): Promise<void> {
  await ports.files.remove(await slotFile(ports, slot))
}

/** On a device the packagers of the signed trust root are who is trusted, whatever lies in the workspace. */
function withPackagers(ports: Ports, { packagers }: Judged): Ports {
  const read = async () => packagers.map((pem) => ({ label: "packager", pem }))
  return { ...ports, trust: { ...ports.trust, read } }
}
