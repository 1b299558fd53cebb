/** Under which conditions a device may use what it was granted (docs/FORMAT.md 5.2). */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseJson } from "../bytes/json.ts"
import { assuranceSchema, type Assurance } from "../../contract/schema/base.ts"
import { levelSchema } from "../../contract/schema/runtime.ts"
import { DEFAULT_FIREWALL, firewallSchema } from "./firewall/rules.ts"

export const policySchema = z.strictObject({
  version: z.literal(1),
  /** Validity window, RFC 3339; null leaves that end open. */
  notBefore: z.iso.datetime().nullable(),
  notAfter: z.iso.datetime().nullable(),
  /** Weakest runtime level that may hold the plaintext. */
  minimumRuntime: levelSchema,
  /** Least proof of where the device's key lives; the desk refuses to issue a grant below it. */
  requiredAssurance: assuranceSchema.default("software"),
  firewall: firewallSchema.default(DEFAULT_FIREWALL),
})
export type Policy = z.infer<typeof policySchema>

/** No window, any runtime: what applies when nobody chose otherwise. */
export const OPEN_POLICY: Policy = {
  version: 1,
  notBefore: null,
  notAfter: null,
  minimumRuntime: "R0",
  requiredAssurance: "software",
  firewall: DEFAULT_FIREWALL,
}

/** A policy as people write it: what is left out is as in OPEN_POLICY, also inside the firewall. */
const writtenSchema = policySchema
  .partial({ version: true, notBefore: true, notAfter: true, minimumRuntime: true, requiredAssurance: true })
  .extend({
    firewall: firewallSchema
      .partial()
      .extend({ watch: firewallSchema.shape.watch.partial().optional() })
      .optional(),
  })

/** Throws POLICY_MALFORMED naming the first place that does not fit. */
export function parsePolicy(bytes: Uint8Array): Policy {
  const parsed = writtenSchema.safeParse(parseJson(bytes, "the policy"))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new AppError(
      "POLICY_MALFORMED",
      `the policy is not valid at ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`,
    )
  }
  const { firewall, ...rest } = withoutUndefined(parsed.data)
  const { watch, ...rules } = withoutUndefined(firewall ?? {})
  return {
    ...OPEN_POLICY,
    ...rest,
    firewall: {
      ...DEFAULT_FIREWALL,
      ...rules,
      watch: { ...DEFAULT_FIREWALL.watch, ...withoutUndefined(watch ?? {}) },
    },
  }
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

function withoutUndefined<T extends object>(value: T): Defined<T> {
  // Only keys without a value go; the rest keep their types.
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Defined<T>
}

/** Throws POLICY_EXPIRED outside the validity window. */
export function checkWindow(policy: Policy, now: Date): void {
  if (policy.notBefore !== null && now < new Date(policy.notBefore)) {
    throw new AppError("POLICY_EXPIRED", `the grant is not valid before ${policy.notBefore}`)
  }
  if (policy.notAfter !== null && now > new Date(policy.notAfter)) {
    throw new AppError("POLICY_EXPIRED", `the grant was valid until ${policy.notAfter}`)
  }
}

/** Throws ASSURANCE_TOO_LOW for a device whose key is not proven to be where the policy wants it. */
export function checkAssurance(
  policy: Policy,
  device: { readonly name: string; readonly assurance: Assurance },
): void {
  const { options } = assuranceSchema
  if (options.indexOf(device.assurance) < options.indexOf(policy.requiredAssurance)) {
    throw new AppError(
      "ASSURANCE_TOO_LOW",
      `${device.name} has level ${device.assurance}, and the policy demands ${policy.requiredAssurance}`,
    )
  }
}
