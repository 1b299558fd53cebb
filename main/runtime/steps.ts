/** What was done to this process before it may hold a model: the launcher's measures and, from inside, the rest. */
import { nativeLockdown, type LockdownStep } from "../../native/lib/lockdown.ts"

/**
 * Applies the measures that had to wait for Node and reports all of them. A process the launcher did not start has no
 * measures: that is level R0. `SEALWRIGHT_STEPS` holds a line a measure: name, tab, 1 or 0, tab, how it was seen or why not.
 */
export function applySteps(environment: NodeJS.ProcessEnv): readonly LockdownStep[] {
  const launched = environment["SEALWRIGHT_STEPS"]
  const native = nativeLockdown()
  if (launched === undefined || native === null) return []
  return [...launched.split("\n").flatMap(readStep), ...native.lockDown()]
}

function readStep(line: string): readonly LockdownStep[] {
  const [step, held, detail] = line.split("\t")
  return step === undefined || held === undefined || detail === undefined
    ? []
    : [{ step, isHeld: held === "1", detail }]
}
