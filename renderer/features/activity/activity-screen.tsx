/** Activity: all jobs of the engine, whichever window started them, and what failed in this one. */
import { Button, Text, Title } from "@mantine/core"
import { IconActivity } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import type { Job } from "../../../main/contract/schema/base.ts"
import { connection } from "../../api/connection.ts"
import { jobs } from "../../api/jobs.ts"
import { queries, refresh } from "../../api/queries.ts"
import { useStore } from "../../api/store.ts"
import { showFailure } from "../../ui/confirm.tsx"
import { Empty } from "../../ui/empty.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Page } from "../../ui/page.tsx"
import { StateBadge, type State } from "../../ui/state.tsx"
import { rateText } from "../../ui/step-bar.tsx"
import { agoText } from "../../ui/units.ts"
import { TrustLog } from "./trust-log.tsx"

const STATES: Readonly<Record<Job["state"], State>> = {
  running: "neutral",
  done: "verified",
  failed: "refused",
  cancelled: "attention",
}

export function ActivityScreen() {
  const { data, error, refetch } = useQuery(queries.engineJobs)
  const failed = useStore(jobs).filter(({ failure }) => failure !== null)
  const shown = (data ?? []).toReversed()
  const acts = useQuery(queries.log).data?.size ?? 0
  if (error !== null && data === undefined)
    return (
      <Page title="Activity">
        <FailureNotice error={error} onRetry={() => void refetch()} />
      </Page>
    )
  if (shown.length === 0 && failed.length === 0 && acts === 0)
    return (
      <Page title="Activity">
        <Empty icon={<IconActivity size={36} stroke={1.4} aria-hidden />} title="Nothing has run yet">
          Protecting, verifying and validating appear here while they run and after they ended.
        </Empty>
      </Page>
    )
  return (
    <Page title="Activity" subtitle="Of this engine, in every window">
      <ul className="sw-jobs" aria-label="Jobs">
        {shown.map((job) => (
          <JobLine key={job.job} job={job} />
        ))}
      </ul>
      {failed.length > 0 && (
        <>
          <Title order={2} size="h5" mt="md" mb="xs">
            What did not finish in this window
          </Title>
          <ul className="sw-cards">
            {failed.map(({ id, title, failure, startedAt }) => (
              <li key={id} className="sw-card">
                <div className="sw-line">
                  <Text fw={600} size="sm" className="sw-wrap">
                    {title}
                  </Text>
                  <Text size="xs" c="dimmed" ml="auto">
                    {agoText(startedAt)}
                  </Text>
                </div>
                {failure !== null && (
                  <Text size="sm" className="sw-wrap">
                    {failure.message} {failure.hint} <code className="sw-code">{failure.code}</code>
                  </Text>
                )}
              </li>
            ))}
          </ul>
        </>
      )}
      {acts > 0 && <TrustLog />}
    </Page>
  )
}

function JobLine({ job }: { readonly job: Job }) {
  const cancel = async () => {
    await connection.client.jobs.cancel({ job: job.job })
    await refresh("jobs")
  }
  return (
    <li data-job={job.state}>
      <StateBadge state={STATES[job.state]}>{job.state}</StateBadge>
      <span className="sw-ellipsis sw-job-title" title={job.title}>
        {job.title}
      </span>
      <Text span size="xs" c="dimmed" className="sw-numbers">
        {job.state === "running" && job.progress !== null ? rateText(job.progress) : agoText(job.startedAt)}
      </Text>
      {job.state === "running" && (
        <Button size="compact-xs" variant="default" onClick={() => void cancel().catch(showFailure)}>
          Cancel
        </Button>
      )}
    </li>
  )
}
