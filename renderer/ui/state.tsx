/** The four states, with one look everywhere: an icon and a word, never colour alone. */
import {
  IconAlertTriangle,
  IconCircleCheck,
  IconCircleDashed,
  IconCircleX,
  IconCpu,
  IconKeyOff,
  IconShieldCheck,
} from "@tabler/icons-react"
import type { ReactNode } from "react"
import type { Assurance } from "../../main/contract/schema/base.ts"

export type State = "verified" | "attention" | "refused" | "neutral"

const COLORS: Readonly<Record<State, string>> = {
  verified: "var(--sw-good)",
  attention: "var(--sw-attention)",
  refused: "var(--sw-bad)",
  neutral: "var(--mantine-color-dimmed)",
}

export function StateIcon({ state, size = 16 }: { readonly state: State; readonly size?: number }) {
  const Icon = {
    verified: IconCircleCheck,
    attention: IconAlertTriangle,
    refused: IconCircleX,
    neutral: IconCircleDashed,
  }[state]
  return <Icon size={size} color={COLORS[state]} aria-hidden className="sw-icon" />
}

export function StateBadge({ state, children }: { readonly state: State; readonly children: ReactNode }) {
  return (
    <span className="sw-state" data-state={state}>
      <StateIcon state={state} size={14} />
      {children}
    </span>
  )
}

const ASSURANCE: Readonly<Record<Assurance, { readonly word: string; readonly meaning: string }>> = {
  software: {
    word: "software only",
    meaning: "The private key is a file. Whoever can read that file has the key.",
  },
  hardware: {
    word: "hardware",
    meaning: "The private key is said to live in a chip; nobody has proven it to this computer.",
  },
  attested: {
    word: "attested",
    meaning: "The chip's maker vouches that the private key was made in it and cannot leave it.",
  },
}

/** Where a private key lives, and how sure we are of it. */
export function AssuranceBadge({ level }: { readonly level: Assurance }) {
  const Icon = { software: IconKeyOff, hardware: IconCpu, attested: IconShieldCheck }[level]
  const { word, meaning } = ASSURANCE[level]
  return (
    <span className="sw-level" data-level={level} data-hint={meaning}>
      <Icon size={12} aria-hidden />
      {word}
    </span>
  )
}
