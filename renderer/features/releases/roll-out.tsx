/** Out to a ring, one ring further, or back: each says what will happen to how many devices before it does. */
import { Button, Group, Select, Text } from "@mantine/core"
import { notifications } from "@mantine/notifications"
import { useState } from "react"
import type { FleetDevice, Release, Ring } from "../../../main/contract/schema/release.ts"
import { connection } from "../../api/connection.ts"
import { runJob } from "../../api/jobs.ts"
import { refresh } from "../../api/queries.ts"
import { DialogForm, openDialog } from "../../ui/form-dialog.tsx"
import { plural } from "../../ui/units.ts"
import { openRing } from "./rings.tsx"

export function openPublish(release: Release, rings: readonly Ring[], fleet: readonly FleetDevice[]): void {
  const isOut = release.rings.length > 0
  openDialog(`${isOut ? "Promote" : "Publish"} ${release.name}`, (close) => (
    <RollOut
      rings={rings.filter(({ name }) => !release.rings.includes(name))}
      verb={isOut ? "Promote" : "Publish"}
      consequence={(ring) =>
        `${plural(ring.devices.length, "device")} of ${ring.name} will be told to run ${release.name}${replaced(ring, fleet, release.name)}. They take it at their next sync and keep what they run until it passed its health check.`
      }
      act={async (ring) => {
        const { counter, devices } = await runJob(
          `${isOut ? "Promote" : "Publish"} ${release.name} to ${ring}`,
          async (options) =>
            isOut
              ? connection.client.release.promote({ name: release.name, ring }, options)
              : connection.client.release.publish({ name: release.name, ring }, options),
        )
        notifications.show({
          title: `${release.name} is out to ${ring}`,
          message: `${plural(devices, "device")}, counter ${counter}.`,
        })
      }}
      onClose={close}
    />
  ))
}

export function openRollback(release: Release, rings: readonly Ring[], fleet: readonly FleetDevice[]): void {
  openDialog(`Roll back to ${release.name}`, (close) => (
    <RollOut
      rings={rings}
      verb="Roll back"
      isDestructive
      consequence={(ring) =>
        `${plural(ring.devices.length, "device")} of ${ring.name} will be told to run the packages of ${release.name} again${replaced(ring, fleet, release.name)}. It goes out as a new release with a higher counter, so what they run now cannot return by itself.`
      }
      act={async (ring) => {
        const { release: made, devices } = await runJob(
          `Roll ${ring} back to ${release.name}`,
          async (options) => connection.client.release.rollback({ ring, to: release.name }, options),
        )
        notifications.show({
          title: `${ring} goes back`,
          message: `${plural(devices, "device")}, as ${made}.`,
        })
      }}
      onClose={close}
    />
  ))
}

/** Which releases the ring is on now, besides the one it gets. */
function replaced(ring: Ring, fleet: readonly FleetDevice[], next: string): string {
  const now = new Set(
    fleet.filter(({ device }) => ring.devices.includes(device)).flatMap(({ wanted }) => wanted ?? []),
  )
  now.delete(next)
  return now.size === 0 ? "" : ` instead of ${[...now].slice(0, 3).join(", ")}`
}

interface Props {
  readonly rings: readonly Ring[]
  readonly verb: string
  readonly isDestructive?: boolean
  readonly consequence: (ring: Ring) => string
  readonly act: (ring: string) => Promise<void>
  readonly onClose: () => void
}

function RollOut({ rings, verb, isDestructive = false, consequence, act, onClose }: Props) {
  const [chosen, setChosen] = useState<string | null>(null)
  const ring = rings.find(({ name }) => name === chosen) ?? rings[0]
  if (ring === undefined)
    return (
      <div className="sw-form">
        <Text size="sm">There is no ring it is not out to already. A ring is a group of devices.</Text>
        <Group justify="flex-end">
          <Button
            data-autofocus
            onClick={() => {
              onClose()
              openRing(null)
            }}
          >
            New ring…
          </Button>
        </Group>
      </div>
    )
  return (
    <DialogForm
      verb={`${verb} ${ring.name}`}
      {...(isDestructive ? { color: "red.9" } : {})}
      act={async () => {
        await act(ring.name)
        await refresh("releases", "fleet", "trust")
      }}
      onClose={onClose}
    >
      <Select
        label="Ring"
        data={rings.map(({ name, devices }) => ({
          value: name,
          label: `${name} (${plural(devices.length, "device")})`,
        }))}
        value={ring.name}
        onChange={setChosen}
        data-autofocus
      />
      <Text size="sm" className="sw-wrap">
        {consequence(ring)}
      </Text>
    </DialogForm>
  )
}
