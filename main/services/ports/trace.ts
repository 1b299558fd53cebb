import type { SumCodeWords } from "../../core/watermark/trace.ts"

/** Work of tracing that is worth machine code. */
export interface TraceEngine {
  /** Sums over code words; `progress` hears how many copies are done, an aborted `signal` ends the work with an AbortError. */
  sums(signal: AbortSignal, progress: (copies: number) => void): SumCodeWords
}
