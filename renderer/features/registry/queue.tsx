/** Pushes that wait: how often each was tried, what went wrong last, and whether trying again is of use. */
import { ActionIcon, Button, Group, Switch, Text, Title, Tooltip } from "@mantine/core"
import { notifications } from "@mantine/notifications"
import { IconRefresh, IconTrash } from "@tabler/icons-react"
import type { QueuedPush } from "../../../main/contract/schema/registry.ts"
import { connection } from "../../api/connection.ts"
import { failureOf } from "../../api/failure.ts"
import { jobs, runJob } from "../../api/jobs.ts"
import { refresh } from "../../api/queries.ts"
import { useStore } from "../../api/store.ts"
import { confirmLoss, showFailure } from "../../ui/confirm.tsx"
import { StateBadge } from "../../ui/state.tsx"
import { agoText, plural } from "../../ui/units.ts"

const ONCE = "Push what is queued"
const WATCH = "Push queued packages as soon as they can go"

export function Queue({ entries }: { readonly entries: readonly QueuedPush[] }) {
  const running = useStore(jobs).filter(({ state }) => state === "running")
  const watching = running.find(({ title }) => title === WATCH)
  const isBusy = running.some(({ title }) => title === ONCE)
  return (
    <section aria-label="Queue">
      <Group justify="space-between" mb="xs">
        <Title order={2} size="h5">
          Queue
        </Title>
        <Group gap="md">
          <Switch
            size="xs"
            label="Keep trying while this window is open"
            checked={watching !== undefined}
            onChange={() => (watching === undefined ? void sync(true).catch(ignoreStop) : watching.cancel())}
          />
          <Button
            size="compact-xs"
            variant="default"
            leftSection={<IconRefresh size={14} aria-hidden />}
            loading={isBusy}
            disabled={entries.length === 0 || watching !== undefined}
            onClick={() => void sync(false).catch(showFailure)}
          >
            Try now
          </Button>
        </Group>
      </Group>
      {entries.length === 0 ? (
        <Text size="sm" c="dimmed">
          Nothing waits. What is pushed while its registry cannot be reached waits here, also over restarts.
        </Text>
      ) : (
        <ul className="sw-jobs" aria-label="Waiting pushes">
          {entries.map((entry) => (
            <QueueLine key={entry.id} entry={entry} />
          ))}
        </ul>
      )}
    </section>
  )
}

function QueueLine({ entry }: { readonly entry: QueuedPush }) {
  const { name, repository, tag, attempts, lastFailure, state, addedAt } = entry
  const hint = lastFailure === null ? null : failureOf(lastFailure, "").hint
  return (
    <li data-push={state}>
      <StateBadge state={state === "stopped" ? "refused" : lastFailure === null ? "neutral" : "attention"}>
        {state}
      </StateBadge>
      <span className="sw-job-title sw-wrap">
        {name} → {repository}:{tag}
        {lastFailure !== null && (
          <Text size="xs" c="dimmed">
            {hint} <code className="sw-code">{lastFailure}</code>
          </Text>
        )}
      </span>
      <Text span size="xs" c="dimmed" className="sw-numbers">
        {attempts === 0 ? "not tried yet" : `tried ${plural(attempts, "time")}`}, queued {agoText(addedAt)}
      </Text>
      <Tooltip label="Remove from the queue">
        <ActionIcon
          variant="subtle"
          color="gray"
          size="sm"
          aria-label={`Remove ${name} from the queue`}
          onClick={() => remove(entry)}
        >
          <IconTrash size={14} aria-hidden />
        </ActionIcon>
      </Tooltip>
    </li>
  )
}

async function sync(watch: boolean): Promise<void> {
  try {
    const { pushed, left } = await runJob(watch ? WATCH : ONCE, async (options) =>
      connection.client.registry.sync({ watch }, options),
    )
    notifications.show({
      title: pushed.length === 0 ? "Nothing could be pushed" : `Pushed ${plural(pushed.length, "package")}`,
      message: left.length === 0 ? "The queue is empty." : `${left.length} still waiting; each says why.`,
    })
  } finally {
    await refresh("queue")
  }
}

/** Switching it off is what ends it; anything else is seen at the entries. */
function ignoreStop(): void {}

function remove({ id, name, repository, tag }: QueuedPush): void {
  confirmLoss({
    title: `Remove ${name} from the queue?`,
    loss: `It will not be pushed to ${repository}:${tag}. The package itself stays.`,
    verb: "Remove from the queue",
    onConfirm: async () => {
      await connection.client.registry.queue.remove({ id })
      await refresh("queue")
    },
  })
}
