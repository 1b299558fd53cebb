/** One step of long work: what it is, how far, how fast, how long still. */
import { Progress as ProgressBar, Text } from "@mantine/core"
import type { Progress } from "../../main/contract/schema/base.ts"
import { StateIcon, type State } from "./state.tsx"
import { bytesText, durationText } from "./units.ts"

export interface StepLine {
  readonly id: string
  readonly title: string
  readonly state: "waiting" | "running" | "done" | "left-out" | "failed"
  readonly progress: Progress | null
  /** What it found out, or why it was left out. */
  readonly note: string
}

const STATES: Readonly<Record<StepLine["state"], State>> = {
  waiting: "neutral",
  running: "neutral",
  done: "verified",
  "left-out": "attention",
  failed: "refused",
}

export function StepBar({ step }: { readonly step: StepLine }) {
  const { progress, state } = step
  const share =
    state === "done" ? 1 : progress === null || progress.total === 0 ? 0 : progress.done / progress.total
  const percent = Math.floor(share * 100)
  return (
    <div className="sw-step" data-step={step.id} data-state={state}>
      <StateIcon state={STATES[state]} />
      <span className="sw-step-title">{step.title}</span>
      <ProgressBar.Root size="sm" className="sw-step-bar">
        <ProgressBar.Section
          value={state === "left-out" ? 0 : percent}
          aria-label={step.title}
          {...(state === "failed" ? { color: "red" } : {})}
          {...(state === "running" && progress === null ? { animated: true, striped: true, value: 100 } : {})}
        />
      </ProgressBar.Root>
      <Text size="xs" c="dimmed" className="sw-step-note" title={step.note}>
        {state === "running" && progress !== null ? rateText(progress) : step.note}
      </Text>
    </div>
  )
}

export function rateText({ unit, rate, etaSeconds, done, total }: Progress): string {
  const percent = total === 0 ? 0 : Math.floor((done / total) * 100)
  // A handful of slow things has a share and a time, but no rate worth reading.
  const speed = unit === "bytes" ? `, ${bytesText(rate)}/s` : rate >= 2 ? `, ${rate.toFixed(0)} rows/s` : ""
  const left = etaSeconds === null || etaSeconds < 0.5 ? "" : `, ${durationText(etaSeconds)} left`
  return `${percent} %${speed}${left}`
}
