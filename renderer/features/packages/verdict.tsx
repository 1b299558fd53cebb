/** Verifies on opening; the list of checks is the page. */
import { Button, Text } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import type { Check } from "../../../main/contract/schema/verify.ts"
import { connection } from "../../api/connection.ts"
import { failureOf } from "../../api/failure.ts"
import { runJob } from "../../api/jobs.ts"
import { ChecksList, type CheckLine } from "../../ui/checks-list.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { policyRules } from "../../ui/policy.ts"
import { StateIcon } from "../../ui/state.tsx"
import { durationText, plural } from "../../ui/units.ts"

export function Verdict({
  file,
  name,
  device,
}: {
  readonly file: FileRef
  readonly name: string
  readonly device: string | null
}) {
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["verdict", file, device],
    queryFn: async ({ signal }) => {
      const abort = new AbortController()
      signal.addEventListener("abort", () => abort.abort(), { once: true })
      return runJob(
        `Verify ${name}`,
        async (options) => connection.client.verify({ file, device, trust: null }, options),
        () => {},
        abort,
      )
    },
    // A file may change at any time: a verdict is made anew each time it is looked at.
    staleTime: 0,
    gcTime: 0,
  })
  if (error !== null) return <FailureNotice error={error} onRetry={() => void refetch()} />
  if (data === undefined || isFetching) return <Text size="sm">Checking…</Text>
  const isVerified = data.verdict === "verified"
  const passed = data.checks.filter(({ result }) => result === "passed").length
  const skipped = data.checks.filter(({ result }) => result === "skipped").length
  return (
    <>
      <div className="sw-verdict" data-state={data.verdict} role="status">
        <StateIcon state={isVerified ? "verified" : "refused"} size={28} />
        <div>
          <Text fw={600}>{isVerified ? "Verified" : "Refused: do not use this package"}</Text>
          <Text size="sm" c="dimmed">
            {passed} of {plural(data.checks.length, "check")} passed
            {skipped > 0 ? `, ${skipped} left out` : ""} in {durationText(data.seconds)}, without a network
          </Text>
        </div>
        <Button variant="default" ml="auto" onClick={() => void refetch()}>
          Check again
        </Button>
      </div>
      <ChecksList label="Checks" checks={data.checks.map(toLine)} />
      {data.policy !== null && (
        <>
          <Text size="sm" fw={600} mt="md">
            What the grant allows {device}
          </Text>
          <ul className="sw-plain-list">
            {policyRules(data.policy).map((rule) => (
              <li key={rule}>{rule}</li>
            ))}
          </ul>
        </>
      )}
      {data.notApplied.length > 0 && (
        <>
          <Text size="sm" fw={600} mt="md">
            Protections this package does not have
          </Text>
          <ul className="sw-plain-list">
            {data.notApplied.map(({ what, why }) => (
              <li key={what}>
                {what}: {why}
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  )
}

function toLine({ id, title, result, reason, section, code }: Check): CheckLine {
  return {
    id,
    title,
    state: result === "passed" ? "verified" : result === "failed" ? "refused" : "neutral",
    word: result,
    reason,
    evidence: (
      <Text size="sm" className="sw-wrap">
        FORMAT section {section}
        {code === null ? "" : ` · ${code}: ${failureOf(code, reason).hint}`}
      </Text>
    ),
  }
}
