/** What came out: never shown before the last check, and honest about what was left out. */
import { Button, Group, Text, Title } from "@mantine/core"
import {
  IconChartBar,
  IconCloudUpload,
  IconDeviceFloppy,
  IconFolder,
  IconListCheck,
} from "@tabler/icons-react"
import { desktop } from "../../api/desktop.ts"
import { fetchFile } from "../../api/files.ts"
import { go } from "../../api/router.ts"
import { showFailure } from "../../ui/confirm.tsx"
import { openPush } from "../../ui/push-package.tsx"
import { StateIcon } from "../../ui/state.tsx"
import { bytesText, durationText, millisecondsText, percentText, plural } from "../../ui/units.ts"
import type { ProtectOutcome } from "./protect-run.ts"

export function ResultCard({ outcome }: { readonly outcome: ProtectOutcome }) {
  const { made, verdict, measured, seconds, file } = outcome
  const isVerified = verdict.verdict === "verified"
  return (
    <section className="sw-result" data-state={isVerified ? "verified" : "refused"} aria-label="Result">
      <div className="sw-result-head">
        <StateIcon state={isVerified ? "verified" : "refused"} size={36} />
        <div>
          <Title order={2} size="h4">
            {isVerified ? "Verified" : "Refused"}
          </Title>
          <Text size="sm" c="dimmed" className="sw-wrap">
            {made.name}, {bytesText(made.bytes)}, for{" "}
            {made.devices.length === 1 ? made.devices[0] : plural(made.devices.length, "device")}, in{" "}
            {durationText(seconds)}
          </Text>
        </div>
      </div>
      <Figures outcome={outcome} />
      <Group gap="xs" mt="sm">
        {measured !== null && (
          <Button
            leftSection={<IconChartBar size={16} aria-hidden />}
            onClick={() => void fetchFile(measured.report, "view", "report.html").catch(showFailure)}
            autoFocus
          >
            Open report
          </Button>
        )}
        <Button
          variant="default"
          leftSection={
            desktop === null ? (
              <IconDeviceFloppy size={16} aria-hidden />
            ) : (
              <IconFolder size={16} aria-hidden />
            )
          }
          onClick={() => void fetchFile(file, desktop === null ? "save" : "reveal").catch(showFailure)}
        >
          {desktop === null ? "Save package" : "Show in folder"}
        </Button>
        <Button
          variant="default"
          leftSection={<IconListCheck size={16} aria-hidden />}
          onClick={() => go("packages", file)}
        >
          See every check
        </Button>
        <Button
          variant="default"
          leftSection={<IconCloudUpload size={16} aria-hidden />}
          onClick={() => openPush(file, made.name)}
        >
          Push…
        </Button>
        <Button variant="subtle" onClick={() => go("models")}>
          Protect another
        </Button>
      </Group>
    </section>
  )
}

function Figures({ outcome: { measured, verdict, made } }: { readonly outcome: ProtectOutcome }) {
  const passed = verdict.checks.filter(({ result }) => result === "passed").length
  const figures = [
    {
      label: "Checks passed",
      value: `${passed} of ${verdict.checks.length}`,
      note: `signed with ${made.signedBy.key}`,
    },
    ...(measured === null ? [] : measuredFigures(measured.validated.validation)),
  ]
  return (
    <dl className="sw-figures">
      {figures.map(({ label, value, note }) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd className="sw-figure-value">{value}</dd>
          <dd className="sw-figure-note">{note}</dd>
        </div>
      ))}
    </dl>
  )
}

type Validation = NonNullable<ProtectOutcome["measured"]>["validated"]["validation"]

function measuredFigures({ equality, accuracy, latencyMs, level, data, peakMemoryBytes }: Validation) {
  return [
    {
      label: "Outputs identical",
      value: `${equality.identicalRows.toLocaleString("en")} of ${equality.rows.toLocaleString("en")}`,
      note: "rows, to the last bit",
    },
    {
      label: accuracy?.kind === "r2" ? "R²" : "Accuracy",
      value:
        accuracy === null
          ? "not measured"
          : accuracy.kind === "top-1"
            ? `${percentText(accuracy.plain)} → ${percentText(accuracy.sealed)}`
            : `${accuracy.plain.toFixed(3)} → ${accuracy.sealed.toFixed(3)}`,
      note: accuracy === null ? "needs test data with right answers" : `before → after, on ${data.name}`,
    },
    {
      label: "Median latency",
      value: `${millisecondsText(latencyMs.plain.p50)} → ${millisecondsText(latencyMs.sealed.p50)}`,
      note: `plain → sealed, level ${level}`,
    },
    {
      label: "Peak memory",
      value: `${bytesText(peakMemoryBytes.plain)} → ${bytesText(peakMemoryBytes.sealed)}`,
      note: "plain → sealed process",
    },
  ]
}
