/** Rings, and what every device runs: what the director says beside what the device's receipts say. */
import { Button, Group, MultiSelect, Text, TextInput, Title } from "@mantine/core"
import { IconPlus } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import type { Ring } from "../../../main/contract/schema/release.ts"
import { connection } from "../../api/connection.ts"
import { queries, refresh } from "../../api/queries.ts"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { DialogForm, openDialog } from "../../ui/form-dialog.tsx"
import { plural } from "../../ui/units.ts"
import { FleetTable } from "./fleet-table.tsx"

export function Rings() {
  const rings = useQuery(queries.rings)
  const fleet = useQuery(queries.fleet)
  const error = rings.error ?? fleet.error
  if (error !== null) return <FailureNotice error={error} />
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Title order={2} size="h5">
          Rings
        </Title>
        <Button
          size="compact-xs"
          variant="default"
          leftSection={<IconPlus size={14} aria-hidden />}
          onClick={() => openRing(null)}
        >
          New ring…
        </Button>
      </Group>
      {(rings.data ?? []).length === 0 ? (
        <Text size="sm" c="dimmed">
          No ring yet. A ring is a group of devices that get a release together: start with a few.
        </Text>
      ) : (
        <ul className="sw-jobs" aria-label="Rings">
          {(rings.data ?? []).map((ring) => (
            <li key={ring.name}>
              <span className="sw-job-title sw-ellipsis">{ring.name}</span>
              <Text span size="xs" c="dimmed">
                {plural(ring.devices.length, "device")}
              </Text>
              <Button size="compact-xs" variant="default" onClick={() => openRing(ring)}>
                Change…
              </Button>
            </li>
          ))}
        </ul>
      )}
      <Title order={2} size="h5" mt="lg" mb="xs">
        Devices
      </Title>
      <FleetTable fleet={fleet.data ?? []} />
    </>
  )
}

export function openRing(ring: Ring | null): void {
  openDialog(ring === null ? "New ring" : `Devices of ${ring.name}`, (close) => (
    <RingForm ring={ring} onClose={close} />
  ))
}

function RingForm({ ring, onClose }: { readonly ring: Ring | null; readonly onClose: () => void }) {
  const devices = useQuery(queries.devices).data ?? []
  const [name, setName] = useState(ring?.name ?? "")
  const [chosen, setChosen] = useState<readonly string[]>(ring?.devices ?? [])
  const keep = async () => {
    await connection.client.fleet.setRing({ name: name.trim(), devices: [...chosen] })
    await refresh("rings", "fleet")
  }
  return (
    <DialogForm
      verb={ring === null ? "Make ring" : "Keep changes"}
      isReady={name.trim() !== ""}
      act={keep}
      onClose={onClose}
    >
      {ring === null && (
        <TextInput
          label="Name"
          placeholder="pilot"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          maxLength={64}
          required
          data-autofocus
        />
      )}
      <MultiSelect
        label="Devices"
        description="What they are told stays until the next release is published to the ring"
        data={devices.map((device) => device.name)}
        value={[...chosen]}
        onChange={setChosen}
        limit={100}
        searchable
      />
    </DialogForm>
  )
}
