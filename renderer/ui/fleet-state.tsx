import type { FleetDevice } from "../../main/contract/schema/release.ts"
import { StateBadge, type State } from "./state.tsx"

const STATES: Readonly<Record<FleetDevice["state"], State>> = {
  current: "verified",
  behind: "attention",
  failed: "refused",
  "no receipt": "attention",
  "nothing directed": "neutral",
}

/** How what a device runs compares with what it was told to run. */
export function FleetState({ state }: Pick<FleetDevice, "state">) {
  return <StateBadge state={STATES[state]}>{state}</StateBadge>
}
