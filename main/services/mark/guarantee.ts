/** What a package says in clear about its mark: what it commits to and what it costs, nothing about the model itself. */
import type { JsonObject } from "../../core/attest/statement.ts"
import type { Mode } from "../../contract/schema/base.ts"
import type { Mark } from "../../contract/schema/mark.ts"

/** The predicate of the statement `mark-commitment` (docs/FORMAT.md 11.4). Accuracy is told as a change, so not the model's own. */
export function guaranteeOf(mark: Mark, mode: Mode, createdAt: string): JsonObject {
  const { commitment, carriers, parameters, measured, notMeasured } = mark
  return {
    commitment: { sha256: commitment },
    mode,
    createdAt,
    changedShare: parameters === 0 ? 0 : Number((carriers / parameters).toFixed(4)),
    measured:
      measured === null
        ? null
        : {
            on: measured.on,
            rows: measured.rows,
            copies: measured.copies,
            outputChange: measured.outputChange,
            largestChange: measured.largestChange,
            agreement: measured.agreement,
            accuracyChange:
              measured.accuracyBefore === null || measured.accuracyAfter === null
                ? null
                : measured.accuracyAfter - measured.accuracyBefore,
          },
    notMeasured,
  }
}
