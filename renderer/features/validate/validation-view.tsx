import { Button, Group, Text } from "@mantine/core"
import { fetchFile } from "../../api/files.ts"
import { useStore, type Store } from "../../api/store.ts"
import { ChecksList } from "../../ui/checks-list.tsx"
import { showFailure } from "../../ui/confirm.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { LatencyChart, quantile } from "../../ui/latency-chart.tsx"
import { StateBadge } from "../../ui/state.tsx"
import { StepBar } from "../../ui/step-bar.tsx"
import { bytesText, millisecondsText, percentText } from "../../ui/units.ts"
import { Lanes } from "./lanes.tsx"
import type { ValidationRun } from "./validation-run.ts"

export function ValidationView({ run }: { readonly run: Store<ValidationRun> }) {
  const now = useStore(run)
  const isRunning = now.result === null && now.failure === null
  return (
    <>
      {now.failure !== null && <FailureNotice failure={now.failure} />}
      {isRunning && (
        <div className="sw-panel sw-running">
          <StepBar
            step={{
              id: "validate",
              title: now.progress === null ? "Starting" : now.progress.step,
              state: "running",
              progress: now.progress,
              note: "",
            }}
          />
          <Button size="compact-xs" variant="default" onClick={now.cancel}>
            Cancel
          </Button>
        </div>
      )}
      <Counters now={now} />
      <div className="sw-panel">
        <div className="sw-legend">
          <span data-series="plain">plain</span>
          <span data-series="sealed">sealed</span>
          <Text span size="xs" c="dimmed">
            dots: calls; lines: running median; dashed: 99th percentile
          </Text>
        </div>
        <LatencyChart calls={now.calls} />
      </div>
      {now.result !== null && <Result now={now} result={now.result} />}
    </>
  )
}

function Counters({ now }: { readonly now: ValidationRun }) {
  const plain = now.calls.map(([ms]) => ms)
  const sealed = now.calls.map(([, ms]) => ms)
  const isIdentical = now.identicalRows === now.comparedRows
  const validation = now.result?.validated.validation
  const latency = (share: number) =>
    now.calls.length === 0
      ? "–"
      : `${millisecondsText(quantile(plain, share))} → ${millisecondsText(quantile(sealed, share))}`
  const accuracy = validation?.accuracy ?? null
  const goodness = (value: number) => (accuracy?.kind === "r2" ? value.toFixed(3) : percentText(value))
  const figures = [
    {
      label: "Outputs",
      value:
        now.comparedRows === 0 ? (
          "–"
        ) : (
          <StateBadge state={isIdentical ? "verified" : "refused"}>
            {isIdentical ? "identical" : "different"}
          </StateBadge>
        ),
      note: `${now.identicalRows.toLocaleString("en")} of ${now.comparedRows.toLocaleString("en")} rows`,
    },
    { label: "Median", value: latency(0.5), note: "plain → sealed" },
    { label: "99th percentile", value: latency(0.99), note: "plain → sealed" },
    {
      label: accuracy?.kind === "r2" ? "R²" : "Accuracy",
      value: accuracy === null ? "–" : `${goodness(accuracy.plain)} → ${goodness(accuracy.sealed)}`,
      note:
        accuracy === null
          ? validation === undefined
            ? "at the end"
            : "no right answers given"
          : "plain → sealed",
    },
    {
      label: "Peak memory",
      value:
        validation === undefined
          ? "–"
          : `${bytesText(validation.peakMemoryBytes.plain)} → ${bytesText(validation.peakMemoryBytes.sealed)}`,
      note: validation === undefined ? "at the end" : `runtime level ${validation.level}`,
    },
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

function Result({
  now,
  result,
}: {
  readonly now: ValidationRun
  readonly result: NonNullable<ValidationRun["result"]>
}) {
  const isSame = now.identicalRows === now.comparedRows
  const { signedBy, validation } = result.validated
  const { gate } = validation
  return (
    <>
      <Group gap="xs" className="sw-panel" role="status">
        <div>
          <StateBadge state={isSame && gate.passed ? "verified" : "refused"}>
            {!isSame
              ? "Sealing changed outputs: do not ship this package"
              : gate.passed
                ? "Sealing changed no output"
                : "Outside its limits: do not ship this package"}
          </StateBadge>
          <Text size="xs" c="dimmed">
            {signedBy === null
              ? "Not signed: releases that need a measurement do not count it."
              : `Signed into the package with ${signedBy.key}.`}
          </Text>
        </div>
        <Button
          ml="auto"
          onClick={() => void fetchFile(result.report, "view", "report.html").catch(showFailure)}
        >
          Open report
        </Button>
        <Button
          variant="default"
          onClick={() => void fetchFile(result.report, "save", "report.json").catch(showFailure)}
        >
          Save figures (JSON)
        </Button>
      </Group>
      <ChecksList
        label="Gate"
        checks={gate.lines.map(({ limit, wanted, measured, passed }) => ({
          id: limit,
          title: limit,
          state: passed ? "verified" : "refused",
          word: passed ? "kept" : "outside",
          reason: `wanted ${wanted}, measured ${measured}`,
        }))}
      />
      <Lanes lanes={validation.lanes} skippedLanes={validation.skippedLanes} />
    </>
  )
}
