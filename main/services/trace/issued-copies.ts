/** What the ledger says about copies of a model. */
import type { LedgerState, PlanEntry } from "../../core/watermark/ledger.ts"
import type { IssuedCopy } from "../../core/watermark/trace.ts"

/** Every code word that left with a copy of this model, each once. */
export function issuedCopies(state: LedgerState, entry: PlanEntry): readonly IssuedCopy[] {
  const copies = new Map<string, IssuedCopy>()
  for (const { modelHash, device, attempt, mode } of state.issued) {
    if (modelHash === entry.plan.modelHash)
      copies.set(`${device}/${attempt}/${mode}`, { device, attempt, mode })
  }
  return [...copies.values()]
}

export function deviceNames(state: LedgerState): (copy: IssuedCopy) => string {
  const names = new Map([...state.devices].map(([name, number]) => [number, name]))
  return ({ device }) => names.get(device) ?? `number ${device}`
}
