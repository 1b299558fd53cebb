/** Always true: what is connected, what keys there are, what runs. Each part leads to where more is said. */
import { Progress as ProgressBar, UnstyledButton } from "@mantine/core"
import { useQueries, useQuery } from "@tanstack/react-query"
import { useEffect, useState, useSyncExternalStore } from "react"
import { connection } from "../api/connection.ts"
import { engineState } from "../api/engine-state.ts"
import { jobs, type WindowJob } from "../api/jobs.ts"
import { queries } from "../api/queries.ts"
import { go, goToNamed } from "../api/router.ts"
import { useStore } from "../api/store.ts"
import type { State } from "../ui/state.tsx"
import { rateText } from "../ui/step-bar.tsx"
import { plural } from "../ui/units.ts"

export function StatusBar() {
  const engine = useEngineWords()
  const devices = useQuery(queries.devices).data
  const running = useStore(jobs).find(({ state }) => state === "running")
  const best = bestLevel((devices ?? []).map(({ assurance }) => assurance))
  return (
    <footer className="sw-status" aria-label="Status">
      <Dot {...engine} onClick={() => go("doctor")} />
      <Levels />
      {devices !== undefined && (
        <UnstyledButton className="sw-status-item" onClick={() => go("devices")}>
          <span className="sw-dot" data-state={devices.length === 0 ? "neutral" : best.state} aria-hidden />
          {devices.length === 0 ? "no devices yet" : `${plural(devices.length, "device")}, ${best.text}`}
        </UnstyledButton>
      )}
      <RegistryDot />
      <span className="sw-status-space" />
      {running !== undefined && <RunningJob job={running} />}
    </footer>
  )
}

interface Words {
  readonly state: State
  readonly text: string
}

function Dot({ state, text, onClick }: Words & { readonly onClick: () => void }) {
  return (
    <UnstyledButton className="sw-status-item" onClick={onClick}>
      <span className="sw-dot" data-state={state} aria-hidden />
      <span aria-live="polite">{text}</span>
    </UnstyledButton>
  )
}

const LEVELS_AFTER_MS = 2500

/** The sealed runtime and the TPM of this computer. Asked after the first clicks: it starts a process. */
function Levels() {
  const [isIdle, setIdle] = useState(false)
  const isConnected = useSyncExternalStore(connection.subscribe, () => connection.state) === "open"
  useEffect(() => {
    const timer = setTimeout(() => setIdle(true), LEVELS_AFTER_MS)
    return () => clearTimeout(timer)
  }, [])
  const { data } = useQuery({ ...queries.levels, enabled: isIdle && isConnected })
  if (data === undefined) return null
  const { runtime, tpm } = data
  return (
    <>
      <Dot
        state={runtime === null ? "refused" : runtime === "R2" ? "verified" : "attention"}
        text={runtime ?? "no sealed runtime"}
        onClick={() => goToNamed("doctor", "runtime")}
      />
      <Dot
        state={tpm ? "verified" : "neutral"}
        text={tpm ? "TPM" : "no TPM"}
        onClick={() => goToNamed("doctor", "keys-tpm2")}
      />
    </>
  )
}

/** What is known of the registries without asking them, and how much waits for them. */
function RegistryDot() {
  const connections = useQuery(queries.connections).data ?? []
  const queued = useQuery({ ...queries.queue, refetchInterval: 15_000 }).data?.length ?? 0
  const healths = useQueries({
    queries: connections.map((each) => ({ ...queries.health(each), enabled: false })),
  })
  if (connections.length === 0 && queued === 0) return null
  const [first] = connections
  const name =
    first === undefined
      ? "registry"
      : connections.length === 1
        ? `registry ${first.host}`
        : `${connections.length} registries`
  const state = healths.some(({ isError }) => isError)
    ? "refused"
    : queued > 0
      ? "attention"
      : healths.length > 0 && healths.every(({ data }) => data?.tls === true)
        ? "verified"
        : "neutral"
  return (
    <Dot
      state={state}
      text={queued === 0 ? name : `${name} (${queued} queued)`}
      onClick={() => go("registry")}
    />
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

function useEngineWords(): Words {
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
