/** Which measures make up which level of the sealed runtime, and what a process that reports on them has reached. */
import {
  isAtLeast,
  type LevelReport,
  type LevelStep,
  type RuntimeLevel,
} from "../../contract/schema/runtime.ts"

/** What a runtime says of one measure. */
export interface StepResult {
  readonly step: string
  readonly isHeld: boolean
  readonly detail: string
}

type Step = Pick<LevelStep, "title" | "level"> & { readonly isOptional?: boolean }

/** In the order they are applied. Names are shared with native/src/launcher.c, lockdown.cc and secret_heap.c. */
const STEPS: Readonly<Record<string, Step>> = {
  "parent-death": { level: "R1", title: "dies with the engine" },
  "core-limit": { level: "R1", title: "no core dumps" },
  descriptors: { level: "R1", title: "inherited descriptors closed" },
  environment: { level: "R1", title: "empty environment" },
  "network-namespace": { level: "R1", title: "own empty network namespace", isOptional: true },
  capabilities: { level: "R1", title: "no capabilities" },
  "no-new-privileges": { level: "R1", title: "no new privileges" },
  landlock: { level: "R1", title: "files: only its own program, read-only (Landlock)" },
  "start-filter": { level: "R1", title: "no sockets, debugging or kernel interfaces (seccomp)" },
  "not-dumpable": { level: "R1", title: "closed to other processes of the same user" },
  "no-swap": { level: "R1", title: "model memory stays out of swap and dumps" },
  "run-filter": { level: "R1", title: "only the system calls of inference, on every thread (seccomp)" },
  "secret-heap": { level: "R2", title: "model memory the kernel itself cannot read (memfd_secret)" },
  "secret-stacks": { level: "R2", title: "stacks of all threads in that memory" },
  "tracer-guard": { level: "R2", title: "no other process can attach (tracer slot taken)" },
}

/**
 * A measure that was not reported does not hold, for the reason `whyNone`; one that is not in the table is nothing we know to
 * mean anything.
 */
export function judgeLevel(
  asked: RuntimeLevel | null,
  results: readonly StepResult[],
  whyNone = "not applied",
): LevelReport {
  const byName = new Map(results.map((result) => [result.step, result]))
  const goal = asked ?? "R2"
  const steps = Object.entries(STEPS)
    .filter(([, { level }]) => isAtLeast(goal, level))
    .map(([step, { level, title, isOptional = false }]): LevelStep => {
      const { isHeld = false, detail = whyNone } = byName.get(step) ?? {}
      return { step, title, level, isOptional, isHeld, detail }
    })
  const fault = (level: RuntimeLevel) =>
    steps.find((step) => step.level === level && !step.isOptional && !step.isHeld)
  const missing = fault("R1") ?? fault("R2")
  const reached = missing === undefined ? goal : missing.level === "R2" ? "R1" : "R0"
  return {
    asked,
    reached,
    reason: missing === undefined ? "" : `${missing.step}: ${missing.detail}`,
    steps,
  }
}
