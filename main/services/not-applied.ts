import { z } from "zod"
import type { Verdict } from "../contract/schema/verify.ts"
import type { JsonObject } from "../core/attest/statement.ts"

/** What the signed statement itself says was left out. */
export function notAppliedIn(statement: JsonObject): Verdict["notApplied"] {
  const mark = markSchema.safeParse(statement["mark"])
  if (!mark.success || mark.data.applied) return []
  return [{ what: "mark", why: mark.data.why }]
}

/** Whether the signed statement says that the copy carries a mark. */
export function isMarked(statement: JsonObject): boolean {
  return markSchema.safeParse(statement["mark"]).data?.applied === true
}

const markSchema = z.object({ applied: z.boolean(), why: z.string().default("not stated") })
