import type { Release } from "../../../main/contract/schema/release.ts"
import type { State } from "../../ui/state.tsx"

/** What each state means and what comes next, in a sentence. */
export const STATES: Readonly<Record<Release["state"], { readonly state: State; readonly meaning: string }>> =
  {
    draft: { state: "neutral", meaning: "Not ready: a gate before the approvals is closed." },
    validated: { state: "neutral", meaning: "Measured and signed. It waits for approvals." },
    approved: { state: "attention", meaning: "It may go out, and no ring runs it." },
    released: { state: "verified", meaning: "Devices are told to run it." },
    retired: { state: "neutral", meaning: "A later release took its place everywhere." },
    revoked: { state: "refused", meaning: "Taken back: devices refuse its packages." },
  }
