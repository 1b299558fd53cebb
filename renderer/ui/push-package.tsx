/** Pushing a package: now, or as soon as its registry can be reached. Opened from wherever a package is shown. */
import { Button, Group, Text } from "@mantine/core"
import { modals } from "@mantine/modals"
import { notifications } from "@mantine/notifications"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import type { FileRef } from "../../main/contract/schema/base.ts"
import type { Connection } from "../../main/contract/schema/registry.ts"
import { connection } from "../api/connection.ts"
import { runJob } from "../api/jobs.ts"
import { queries, refresh } from "../api/queries.ts"
import { go } from "../api/router.ts"
import { FailureNotice } from "./failure-notice.tsx"
import { PlaceFields, placeOf, repositoryName, type PlaceChoice } from "./place-fields.tsx"
import { bytesText } from "./units.ts"

export function openPush(file: FileRef, name: string): void {
  const id = modals.open({
    title: `Push ${name}`,
    closeButtonProps: { "aria-label": "Close" },
    children: <Push file={file} name={name} onClose={() => modals.close(id)} />,
  })
}

interface Props {
  readonly file: FileRef
  readonly name: string
  readonly onClose: () => void
}

function Push(props: Props) {
  const { data, error } = useQuery(queries.connections)
  if (error !== null) return <FailureNotice error={error} />
  if (data === undefined) return null
  if (data.length > 0) return <PushForm {...props} connections={data} />
  return (
    <div className="sw-form">
      <Text size="sm">This workspace knows no registry yet. Connect to one first.</Text>
      <Group justify="flex-end">
        <Button
          data-autofocus
          onClick={() => {
            props.onClose()
            go("registry")
          }}
        >
          Go to Registry
        </Button>
      </Group>
    </div>
  )
}

function PushForm({
  file,
  name,
  onClose,
  connections,
}: Props & { readonly connections: readonly Connection[] }) {
  const [choice, setChoice] = useState<PlaceChoice>({
    host: connections[0]?.host ?? null,
    repository: repositoryName(name),
    tag: "1.0",
  })
  const [error, setError] = useState<unknown>(null)
  /** The push on its way: a registry that does not answer is tried for a while. */
  const [abort, setAbort] = useState<AbortController | null>(null)
  const place = placeOf(choice, connections)
  const attempt = async (act: (abort: AbortController) => Promise<void>) => {
    abort?.abort()
    const next = new AbortController()
    setAbort(next)
    setError(null)
    try {
      await act(next)
      onClose()
    } catch (failure) {
      if (!next.signal.aborted) setError(failure)
    } finally {
      setAbort((now) => (now === next ? null : now))
    }
  }
  const request = place === null ? null : { file, to: place, tag: choice.tag.trim() }
  const queue = async () => {
    if (request === null) return
    await connection.client.registry.queue.add(request)
    await refresh("queue")
    notifications.show({
      title: "It waits for its registry",
      message: `${name} is in the queue of Registry.`,
    })
  }
  const push = async (stop: AbortController) => {
    if (request === null) return
    const { repository, tag, bytes, sentBytes } = await runJob(
      `Push ${name}`,
      async (options) => connection.client.registry.push(request, options),
      () => {},
      stop,
    )
    notifications.show({
      title: `Pushed to ${repository}:${tag}`,
      message: `${bytesText(sentBytes)} of ${bytesText(bytes)} had to be sent.`,
    })
  }
  return (
    <form
      className="sw-form"
      onSubmit={(event) => {
        event.preventDefault()
        void attempt(push)
      }}
    >
      <PlaceFields connections={connections} value={choice} onChange={setChoice} tagLabel="Tag" />
      {error !== null && <FailureNotice error={error} />}
      {abort !== null && (
        <Text size="xs" c="dimmed" role="status">
          On its way. A registry that does not answer is tried for about a minute; queue it to let it wait.
        </Text>
      )}
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={() => void attempt(queue)} disabled={request === null}>
          Queue for later
        </Button>
        <Button type="submit" loading={abort !== null} disabled={request === null}>
          Push now
        </Button>
      </Group>
    </form>
  )
}
