/** What a device under deployment may run: what it installed, while both repositories and the floors still allow it. */
import { AppError } from "../../contract/errors.ts"
import type { Device } from "../../contract/schema/keys.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { Slot } from "../../contract/schema/deployment.ts"
import type { TrustedKeys } from "../../core/attest/trust.ts"
import type { Judged } from "../../core/policy/deployment.ts"
import { readTrust, trustIn } from "../package-access.ts"
import type { Ports } from "../ports.ts"
import { judgeKept } from "./judge.ts"
import { activeSlot, findState, type DeviceState } from "./state.ts"

export interface Deployed {
  readonly slot: Slot
  /** Public keys (PEM) of the packagers of the trust root: on such a device nobody else is trusted. */
  readonly packagers: readonly string[]
}

/**
 * `null` for a device without a trust root, which runs what its user says. Throws SLOT_EMPTY while nothing is installed, and
 * whatever the judgement refuses: METADATA_EXPIRED, PACKAGE_REVOKED, DEPLOYMENT_REPLAYED, DEPLOYMENT_NONE.
 */
export async function findDeployed(ports: Ports, device: Device): Promise<Deployed | null> {
  const state = await findState(ports, device)
  if (state === null) return null
  const slot = activeSlot(state)
  if (slot === null) throw new AppError("SLOT_EMPTY", `nothing is installed on ${device.name}`)
  const { packagers } = await checkSlot(ports, device, state, slot)
  return { slot, packagers }
}

/** Whose signatures count on a device, and what it may use. */
export interface Usable {
  readonly keys: TrustedKeys
  readonly pems: readonly string[]
  /** Throws DEPLOYMENT_NONE for another package than the one that is installed. */
  check(packageDigest: string): void
}

/**
 * What counts when a package is run or opened: on a device under deployment the trust root says who is trusted and the director
 * what is used, whoever asks for what; elsewhere `trust` does, and the grant. Throws as findDeployed does.
 */
export async function usableOn(ports: Ports, device: Device, trust: FileRef | null): Promise<Usable> {
  const deployed = await findDeployed(ports, device)
  if (deployed === null) return { ...(await readTrust(ports, trust)), check: () => {} }
  const { slot, packagers } = deployed
  return {
    ...trustIn(packagers),
    check(packageDigest) {
      if (packageDigest !== slot.package)
        throw new AppError("DEPLOYMENT_NONE", `${device.name} runs ${slot.release} and no other package`)
    },
  }
}

/** The repositories as the device keeps them, judged now, and the slot by what they say. */
export async function checkSlot(
  ports: Ports,
  device: Device,
  state: DeviceState,
  slot: Slot,
): Promise<Judged> {
  const judged = await judgeKept(ports, device, state)
  if (judged.deployment === null)
    throw new AppError("DEPLOYMENT_NONE", "the director lets this device run nothing")
  if (judged.revoked.includes(slot.package))
    throw new AppError("PACKAGE_REVOKED", "the release managers revoked this package")
  await checkNotBelowFloor(ports, device, slot)
  return judged
}

/** An old copy of the disk has an old slot; the floor is elsewhere. */
async function checkNotBelowFloor(ports: Ports, device: Device, slot: Slot): Promise<void> {
  const floors = await ports.floors.read(device)
  if (slot.counter < floors.deployment || slot.releaseCounter < floors.release)
    throw new AppError(
      "DEPLOYMENT_REPLAYED",
      `${slot.release} has counter ${slot.counter}, the device is at ${floors.deployment}`,
    )
}
