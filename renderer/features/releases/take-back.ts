/** Taking back a package, a device or a key: what is lost is said first, and that it cannot be undone. */
import type { FleetDevice, Release, Revoke } from "../../../main/contract/schema/release.ts"
import { connection } from "../../api/connection.ts"
import { refresh } from "../../api/queries.ts"
import { confirmLoss } from "../../ui/confirm.tsx"
import { plural } from "../../ui/units.ts"

export function openRevokePackages({ name, packages }: Release, fleet: readonly FleetDevice[]): void {
  const running = fleet.filter((device) => device.running === name || device.wanted === name).length
  const who =
    running === 0
      ? "No device is told to run it now. Devices that have it refuse"
      : `${plural(running, "device")} on this release will refuse`
  confirmLoss({
    title: `Revoke ${name}?`,
    loss: `${who} ${packages.length === 1 ? "its package" : `its ${packages.length} packages`} from their next sync on, and every other release with the same packages is taken back with it. This cannot be undone: publish or roll back to another release so that devices have something to run.`,
    verb: "Revoke for good",
    onConfirm: async () => {
      for (const digest of packages) await revoke({ kind: "package", digest })
    },
  })
}

export function openRevokeDevice({ device, running }: FleetDevice): void {
  confirmLoss({
    title: `Take ${device} out of the fleet?`,
    loss: `${device} is told to run nothing${running === null ? "" : ` and stops ${running} at its next sync`}. Its copies stay encrypted to it: what it has, it can still read. It leaves its rings, so that the next release does not bring it back.`,
    verb: "Take it out",
    onConfirm: async () => revoke({ kind: "device", name: device }),
  })
}

export function openRevokeKey(key: string, person: string): void {
  confirmLoss({
    title: `Revoke the key of ${person}?`,
    loss: `It loses every role it has. What it approved counts no more, and releases that needed it close their gates again. Roles must keep as many keys as they need signatures.`,
    verb: "Revoke key",
    onConfirm: async () => revoke({ kind: "key", key }),
  })
}

async function revoke(request: Revoke): Promise<void> {
  await connection.client.release.revoke(request)
  await refresh("releases", "fleet", "trust")
}
