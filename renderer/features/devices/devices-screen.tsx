/** Devices: a card each, with how sure we are of its key. */
import { Button, Group, TextInput } from "@mantine/core"
import { useDisclosure } from "@mantine/hooks"
import { IconCertificate, IconDeviceDesktop, IconPlus } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useEffect, useMemo, useState } from "react"
import type { Device } from "../../../main/contract/schema/keys.ts"
import type { FleetDevice } from "../../../main/contract/schema/release.ts"
import { enrolmentFile } from "../../api/enrolment-file.ts"
import type { SentFile } from "../../api/files.ts"
import { queries } from "../../api/queries.ts"
import { useStore } from "../../api/store.ts"
import { Empty } from "../../ui/empty.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Page } from "../../ui/page.tsx"
import { useSearch } from "../../ui/search.ts"
import { plural } from "../../ui/units.ts"
import { EnrolmentDialog } from "./enrolment-dialog.tsx"
import { AddDevice } from "./add-device.tsx"
import { DeviceCards } from "./device-cards.tsx"

export function DevicesScreen() {
  const { data, error, refetch } = useQuery(queries.devices)
  const fleet = useFleet()
  const search = useSearch(data ?? NONE, wordsOf)
  const [isAdding, adding] = useDisclosure(false)
  const arrived = useStore(enrolmentFile)
  const [dropped, setDropped] = useState<SentFile | null>(null)
  const [isEnrolling, enrolling] = useDisclosure(false)
  // Taken out of the store at once, so that it is looked at once.
  const { open: openEnrolment } = enrolling
  useEffect(() => {
    if (arrived === null) return
    enrolmentFile.set(null)
    setDropped(arrived)
    openEnrolment()
  }, [arrived, openEnrolment])
  const add = (
    <Group gap="xs" wrap="nowrap">
      <Button
        variant="default"
        leftSection={<IconCertificate size={16} aria-hidden />}
        onClick={enrolling.open}
      >
        Enrol device…
      </Button>
      <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={adding.open}>
        Add device…
      </Button>
    </Group>
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
            A device is who may open a package. Enrol one to know where its keys live; add one by its public
            key; or make a software key to try things on this computer.
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
                value={search.text}
                onChange={(event) => search.setText(event.currentTarget.value)}
                w={220}
              />
              {add}
            </>
          }
        >
          <DeviceCards devices={search.found} fleet={fleet} />
        </Page>
      )}
      {isEnrolling && (
        <EnrolmentDialog
          isOpen
          dropped={dropped}
          onClose={() => {
            setDropped(null)
            enrolling.close()
          }}
        />
      )}
      {isAdding && <AddDevice isOpen onClose={adding.close} />}
    </>
  )
}

/** What each device runs, by its name. Only a workspace with a trust root tells devices anything. */
function useFleet(): ReadonlyMap<string, FleetDevice> | null {
  const trust = useQuery(queries.trust).data
  const isReleasing = trust !== undefined && trust.roots !== null
  const { data } = useQuery({ ...queries.fleet, enabled: isReleasing })
  return useMemo(() => {
    if (!isReleasing) return null
    return new Map((data ?? []).map((each) => [each.device, each]))
  }, [isReleasing, data])
}

const NONE: readonly Device[] = []

function wordsOf({ name, assurance }: Device): readonly string[] {
  return [name, assurance]
}
