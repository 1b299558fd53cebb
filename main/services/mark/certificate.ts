/** The certificate of copies: what their real marks do to inputs that had no part in finding the strength. */
import type { Measured } from "../../contract/schema/mark.ts"
import type { Edition } from "../../core/watermark/embed.ts"
import type { OriginalTensor } from "../../core/watermark/original.ts"
import type { PlannedTensor } from "../../core/watermark/plan.ts"
import { topClasses, type Distortion, type Outputs } from "./distortion.ts"
import { isWithin } from "./find-plan.ts"
import type { TrialDesk } from "./trial-desk.ts"

/** Other inputs and another key's luck: what a copy may exceed the budget by (mean square). */
const SLACK = 1.5
/** Copies of a model above this size are not all tried: each trial loads it once more. */
const LARGE_BYTES = 16 << 20
const LARGE_COPIES = 4

export class Certificate {
  readonly #desk: TrialDesk
  readonly #budget: number
  readonly #limit: number
  #worst: Measured | null = null

  constructor(desk: TrialDesk, budget: number, modelBytes: number) {
    this.#desk = desk
    this.#budget = budget
    this.#limit = modelBytes > LARGE_BYTES ? LARGE_COPIES : Number.POSITIVE_INFINITY
  }

  /** The worst of what was measured; `null` before anything was. */
  get measured(): Measured | null {
    return this.#worst
  }

  /** False once enough copies of a large model were tried. */
  get isWanted(): boolean {
    return (this.#worst?.copies ?? 0) < this.#limit
  }

  /**
   * Tries a copy; false when it changes the outputs more than allowed. Then it does not count, unless it `leavesAnyway`: what is
   * said must hold for every copy that leaves.
   */
  async check(
    masterKey: Uint8Array,
    tensors: readonly OriginalTensor[],
    planned: readonly PlannedTensor[],
    edition: Edition,
    leavesAnyway: boolean,
  ): Promise<boolean> {
    const { distortion, outputs } = await this.#desk.certify(masterKey, tensors, planned, edition)
    const holds = isWithin(distortion, this.#budget, SLACK)
    if (holds || leavesAnyway) this.#worst = worse(this.#worst, this.#describe(distortion, outputs))
    return holds
  }

  #describe({ relativeMeanSquare, largestChange, top1 }: Distortion, outputs: Outputs): Measured {
    const { set, heldOutBefore } = this.#desk
    return {
      on: set.kind,
      rows: set.heldOutRows,
      copies: 1,
      outputChange: Math.sqrt(relativeMeanSquare),
      largestChange,
      agreement: top1 === null ? null : top1.kept / top1.rows,
      accuracyBefore: accuracyOf(heldOutBefore, set.labels),
      accuracyAfter: accuracyOf(outputs, set.labels),
    }
  }
}

function accuracyOf(outputs: Outputs, labels: readonly number[] | null): number | null {
  const classes = topClasses(outputs)
  if (labels === null || classes.length === 0 || classes.length !== labels.length) return null
  return classes.filter((place, row) => place === labels[row]).length / classes.length
}

function worse(a: Measured | null, b: Measured): Measured {
  if (a === null) return b
  const least = (x: number | null, y: number | null) => (x === null || y === null ? (x ?? y) : Math.min(x, y))
  return {
    ...a,
    copies: a.copies + 1,
    outputChange: Math.max(a.outputChange, b.outputChange),
    largestChange: Math.max(a.largestChange, b.largestChange),
    agreement: least(a.agreement, b.agreement),
    accuracyAfter: least(a.accuracyAfter, b.accuracyAfter),
  }
}
