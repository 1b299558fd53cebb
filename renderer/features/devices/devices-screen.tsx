/** Devices: a card each, with how sure we are of its key. */
import { Button, TextInput } from "@mantine/core"
import { useDisclosure } from "@mantine/hooks"
import { IconDeviceDesktop, IconPlus } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useDeferredValue, useMemo, useState } from "react"
import { queries } from "../../api/queries.ts"
import { Empty } from "../../ui/empty.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Page } from "../../ui/page.tsx"
import { plural } from "../../ui/units.ts"
import { AddDevice } from "./add-device.tsx"
import { DeviceCards } from "./device-cards.tsx"

export function DevicesScreen() {
  const { data, error, refetch } = useQuery(queries.devices)
  const [search, setSearch] = useState("")
  const wanted = useDeferredValue(search.trim().toLowerCase())
  const [isAdding, adding] = useDisclosure(false)
  const found = useMemo(
    () =>
      (data ?? []).filter(
        ({ name, assurance }) => name.toLowerCase().includes(wanted) || assurance.startsWith(wanted),
      ),
    [data, wanted],
  )
  const add = (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={adding.open}>
      Add device…
    </Button>
  )
  return (
    <>
      {error !== null ? (
        <Page title="Devices" actions={add}>
          <FailureNotice error={error} onRetry={() => void refetch()} />
        </Page>
      ) : data?.length === 0 ? (
        <Page title="Devices">
          <Empty
            icon={<IconDeviceDesktop size={36} stroke={1.4} aria-hidden />}
            title="No devices yet"
            action={add}
          >
            A device is who may open a package. Add one by its public key, or make a software key to try
            things on this computer.
          </Empty>
        </Page>
      ) : (
        <Page
          title="Devices"
          subtitle={data === undefined ? "Reading…" : plural(data.length, "device")}
          isFilled
          actions={
            <>
              <TextInput
                aria-label="Find devices"
                placeholder="Find by name or level"
                value={search}
                onChange={(event) => setSearch(event.currentTarget.value)}
                w={220}
              />
              {add}
            </>
          }
        >
          <DeviceCards devices={found} />
        </Page>
      )}
      <AddDevice isOpen={isAdding} onClose={adding.close} />
    </>
  )
}
