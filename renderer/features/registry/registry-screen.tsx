/** Registry: where packages travel through, what still waits to travel, and the stick for where no network reaches. */
import { Button, Group } from "@mantine/core"
import { IconCloudDownload, IconCloudUpload, IconPlus } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { queries } from "../../api/queries.ts"
import { Empty } from "../../ui/empty.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Page } from "../../ui/page.tsx"
import { plural } from "../../ui/units.ts"
import { openAddConnection } from "./add-connection.tsx"
import { Connections } from "./connections.tsx"
import { openChoosePush } from "./choose-push.tsx"
import { openPull } from "./pull-package.tsx"
import { Queue } from "./queue.tsx"
import { Stick } from "./stick.tsx"

export function RegistryScreen() {
  const connections = useQuery(queries.connections)
  const queue = useQuery(queries.queue)
  const error = connections.error ?? queue.error
  if (error !== null)
    return (
      <Page title="Registry">
        <FailureNotice
          error={error}
          onRetry={() => void Promise.all([connections.refetch(), queue.refetch()])}
        />
      </Page>
    )
  if (connections.data === undefined || queue.data === undefined) return <Page title="Registry">{null}</Page>
  const isEmpty = connections.data.length === 0 && queue.data.length === 0
  return (
    <Page
      title="Registry"
      subtitle={
        isEmpty
          ? "Packages travel through any OCI registry; nothing in it is trusted"
          : `${plural(connections.data.length, "connection")}, ${queue.data.length} waiting`
      }
      actions={isEmpty ? undefined : <Actions />}
    >
      {isEmpty ? (
        <Empty
          icon={<IconCloudUpload size={36} stroke={1.4} aria-hidden />}
          title="No registry yet"
          action={
            <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={openAddConnection}>
              Connect to a registry…
            </Button>
          }
        >
          Harbor, Zot, Distribution or a cloud's: packages are encrypted before they leave, and checked by
          digest when they come back. Without a network, a stick does: see below.
        </Empty>
      ) : (
        <>
          <Connections connections={connections.data} />
          <Queue entries={queue.data} />
        </>
      )}
      <Stick />
    </Page>
  )
}

function Actions() {
  return (
    <Group gap="xs" wrap="nowrap">
      <Button variant="default" leftSection={<IconPlus size={16} aria-hidden />} onClick={openAddConnection}>
        Connect…
      </Button>
      <Button variant="default" leftSection={<IconCloudDownload size={16} aria-hidden />} onClick={openPull}>
        Pull…
      </Button>
      <Button leftSection={<IconCloudUpload size={16} aria-hidden />} onClick={openChoosePush}>
        Push…
      </Button>
    </Group>
  )
}
