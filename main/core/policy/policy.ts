/** Under which conditions a device may use what it was granted (docs/FORMAT.md 5.2). */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { levelSchema } from "../../contract/schema/runtime.ts"

export const policySchema = z.strictObject({
  version: z.literal(1),
  /** Validity window, RFC 3339; null leaves that end open. */
  notBefore: z.iso.datetime().nullable(),
  notAfter: z.iso.datetime().nullable(),
  /** Weakest runtime level that may hold the plaintext. */
  minimumRuntime: levelSchema,
})
export type Policy = z.infer<typeof policySchema>

/** No window, any runtime: what applies when nobody chose otherwise. */
export const OPEN_POLICY: Policy = { version: 1, notBefore: null, notAfter: null, minimumRuntime: "R0" }

/** Throws POLICY_EXPIRED outside the validity window. */
export function checkWindow(policy: Policy, now: Date): void {
  if (policy.notBefore !== null && now < new Date(policy.notBefore)) {
    throw new AppError("POLICY_EXPIRED", `the grant is not valid before ${policy.notBefore}`)
  }
  if (policy.notAfter !== null && now > new Date(policy.notAfter)) {
    throw new AppError("POLICY_EXPIRED", `the grant was valid until ${policy.notAfter}`)
  }
}
