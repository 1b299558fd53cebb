/** What a bench is: it measures something of ours beside a peer that does the same work in the same run. */

/** One line of `npm run bench`. Times in seconds unless the unit says otherwise. */
export interface Figure {
  readonly name: string
  readonly ours: number
  readonly unit: string
  /** What it is compared with, and that one's value in the same unit; null when there is none. */
  readonly peer: string | null
  readonly peerValue: number | null
  /** The limit the figure has to keep, in words, and whether it did; null when it is only reported. */
  readonly must: string | null
  readonly met: boolean | null
  /** How it was measured: sizes, counts, machine. */
  readonly how: string
}

export interface Bench {
  readonly name: string
  run(report: (figure: Figure) => void): Promise<void>
}

/** The middle value; of an even number the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}
