/** Always true: what is connected, what keys there are, what runs. Each part leads to where more is said. */
import { Progress as ProgressBar, UnstyledButton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useSyncExternalStore } from "react"
import { connection } from "../api/connection.ts"
import { engineState } from "../api/engine-state.ts"
import { jobs, type WindowJob } from "../api/jobs.ts"
import { queries } from "../api/queries.ts"
import { go } from "../api/router.ts"
import { useStore } from "../api/store.ts"
import type { State } from "../ui/state.tsx"
import { rateText } from "../ui/step-bar.tsx"
import { plural } from "../ui/units.ts"

export function StatusBar() {
  const engine = useEngineWords()
  const devices = useQuery(queries.devices).data
  const queued = useQuery({ ...queries.queue, refetchInterval: 15_000 }).data?.length ?? 0
  const running = useStore(jobs).find(({ state }) => state === "running")
  const best = bestLevel((devices ?? []).map(({ assurance }) => assurance))
  return (
    <footer className="sw-status" aria-label="Status">
      <Dot state={engine.state} text={engine.text} />
      {devices !== undefined && (
        <UnstyledButton className="sw-status-item" onClick={() => go("devices")}>
          <span className="sw-dot" data-state={devices.length === 0 ? "neutral" : best.state} aria-hidden />
          {devices.length === 0 ? "no devices yet" : `${plural(devices.length, "device")}, ${best.text}`}
        </UnstyledButton>
      )}
      {queued > 0 && (
        <UnstyledButton className="sw-status-item" onClick={() => go("registry")}>
          <span className="sw-dot" data-state="attention" aria-hidden />
          registry, {queued} queued
        </UnstyledButton>
      )}
      <span className="sw-status-space" />
      {running !== undefined && <RunningJob job={running} />}
    </footer>
  )
}

function Dot({ state, text }: { readonly state: State; readonly text: string }) {
  return (
    <UnstyledButton className="sw-status-item" onClick={() => go("doctor")}>
      <span className="sw-dot" data-state={state} aria-hidden />
      <span aria-live="polite">{text}</span>
    </UnstyledButton>
  )
}

function RunningJob({ job }: { readonly job: WindowJob }) {
  const { progress } = job
  const share = progress === null || progress.total === 0 ? 0 : progress.done / progress.total
  return (
    <UnstyledButton className="sw-status-item" onClick={() => go("activity")}>
      <span className="sw-ellipsis sw-status-job">{job.title}</span>
      <ProgressBar value={share * 100} size="sm" w={90} aria-label={job.title} />
      {progress !== null && <span className="sw-numbers">{rateText(progress)}</span>}
    </UnstyledButton>
  )
}

function useEngineWords(): { readonly state: State; readonly text: string } {
  const link = useSyncExternalStore(connection.subscribe, () => connection.state)
  const engine = useStore(engineState)
  if (link === "lost") return { state: "refused", text: "connection lost, trying again" }
  if (link !== "open" || engine === null) return { state: "neutral", text: "connecting" }
  switch (engine.state) {
    case "running":
      return {
        state: "verified",
        text: engine.restarts === 0 ? "engine" : `engine, restarted ${engine.restarts}×`,
      }
    case "starting":
    case "restarting":
      return { state: "attention", text: `engine ${engine.state}` }
    case "stopped":
      return { state: "refused", text: "engine stopped" }
  }
}

function bestLevel(levels: readonly string[]): { readonly state: State; readonly text: string } {
  if (levels.includes("attested")) return { state: "verified", text: "attested hardware" }
  if (levels.includes("hardware")) return { state: "attention", text: "hardware keys" }
  return { state: "attention", text: "software keys only" }
}
