/** Registries this workspace works with, and whether each of them answers. */
import { ActionIcon, Button, Text, Title } from "@mantine/core"
import { IconTrash } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import type { Connection } from "../../../main/contract/schema/registry.ts"
import { connection } from "../../api/connection.ts"
import { toFailure } from "../../api/failure.ts"
import { queries, refresh } from "../../api/queries.ts"
import { confirmLoss } from "../../ui/confirm.tsx"
import { StateBadge } from "../../ui/state.tsx"
import { millisecondsText } from "../../ui/units.ts"

export function Connections({ connections }: { readonly connections: readonly Connection[] }) {
  if (connections.length === 0) return null
  return (
    <section aria-label="Connections">
      <Title order={2} size="h5" mb="xs">
        Connections
      </Title>
      <ul className="sw-jobs">
        {connections.map((each) => (
          <ConnectionLine key={each.host} each={each} />
        ))}
      </ul>
    </section>
  )
}

function ConnectionLine({ each }: { readonly each: Connection }) {
  const { data, error, isFetching, refetch } = useQuery(queries.health(each))
  const failure = error === null ? null : toFailure(error)
  return (
    <li data-connection={failure === null ? "good" : "bad"}>
      {failure !== null ? (
        <StateBadge state="refused">
          {failure.code === "REGISTRY_UNREACHABLE" ? "no answer" : "refused"}
        </StateBadge>
      ) : data === undefined ? (
        <StateBadge state="neutral">asking</StateBadge>
      ) : (
        <StateBadge state={data.tls ? "verified" : "attention"}>
          {data.tls ? "connected" : "no TLS"}
        </StateBadge>
      )}
      <span className="sw-job-title sw-wrap">
        {each.host}
        {each.hasAuthority && (
          <Text span size="xs" c="dimmed">
            {" "}
            by an authority of your own
          </Text>
        )}
        {failure !== null && (
          <Text size="xs" c="dimmed">
            {failure.message} {failure.hint} <code className="sw-code">{failure.code}</code>
          </Text>
        )}
      </span>
      {failure === null && data !== undefined && (
        <Text span size="xs" c="dimmed" className="sw-numbers">
          {data.access === "login" ? "logged in" : "open to anybody"}, {millisecondsText(data.milliseconds)}
        </Text>
      )}
      <Button size="compact-xs" variant="default" loading={isFetching} onClick={() => void refetch()}>
        Check
      </Button>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="sm"
        aria-label={`Remove ${each.host}`}
        onClick={() => remove(each.host)}
      >
        <IconTrash size={14} aria-hidden />
      </ActionIcon>
    </li>
  )
}

function remove(host: string): void {
  confirmLoss({
    title: `Remove ${host}?`,
    loss: `This computer forgets the connection and its login; docker and skopeo lose that login too. What lies in the registry stays there, and what waits in the queue for it stays in the queue.`,
    verb: "Remove connection and log out",
    onConfirm: async () => {
      await connection.client.registry.connections.remove({ host })
      await connection.client.registry.logout({ host })
      await refresh("connections")
    },
  })
}
