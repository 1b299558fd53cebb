/** What a document that waits for signatures says, in lines for whoever signs it: read from what is signed and nothing else. */
import { z } from "zod"
import { assuranceSchema } from "../../contract/schema/base.ts"
import type { Signed } from "../../core/tuf/plan.ts"

/** Releases that are listed one by one; the newest are what a signature is about. */
const LISTED = 8

const keySchema = z.looseObject({
  "x-sealwright-person": z.string(),
  "x-sealwright-assurance": assuranceSchema,
})
const keysSchema = z.record(z.string(), keySchema)
const roleSchema = z.looseObject({
  keyids: z.array(z.string()),
  threshold: z.number(),
  "x-sealwright-assurance": assuranceSchema,
})
const documentSchema = z.looseObject({
  expires: z.string(),
  keys: keysSchema.optional(),
  roles: z.record(z.string(), roleSchema).optional(),
  delegations: z
    .looseObject({ keys: keysSchema, roles: z.array(roleSchema.extend({ name: z.string() })) })
    .optional(),
  targets: z
    .record(z.string(), z.looseObject({ custom: z.looseObject({ releaseCounter: z.number() }).optional() }))
    .optional(),
  "x-sealwright-gates": z.looseObject({ approvals: z.number(), validation: z.string() }).optional(),
  "x-sealwright-offline-days": z.number().optional(),
  "x-sealwright-revoked": z.array(z.string()).optional(),
})
type Document = z.infer<typeof documentSchema>
type Role = z.infer<typeof roleSchema>

/** A document of another form says nothing that could be shown: its signer sees that, and its fingerprint. */
export function describeDocument(signed: Signed): readonly string[] {
  const parsed = documentSchema.safeParse(signed)
  if (!parsed.success) return ["this is not a document of ours"]
  const { expires, keys = {}, roles = {}, delegations, targets = {} } = parsed.data
  return [
    ...Object.entries(roles).map(([name, role]) => roleLine(name, role, keys)),
    ...(delegations?.roles ?? []).map((role) => roleLine(role.name, role, delegations?.keys ?? {})),
    ...ruleLines(parsed.data),
    ...releaseLines(targets),
    ...(parsed.data["x-sealwright-revoked"] ?? []).map((digest) => `revoked: ${digest}`),
    `until ${expires}`,
  ]
}

function roleLine(name: string, role: Role, keys: z.infer<typeof keysSchema>): string {
  const people = role.keyids.map((keyId) => {
    const key = keys[keyId]
    const who = key === undefined ? "nobody" : key["x-sealwright-person"]
    return `${who} ${keyId.slice(0, 8)} (${key?.["x-sealwright-assurance"] ?? "unknown"})`
  })
  const level = role["x-sealwright-assurance"]
  return `${name}: ${role.threshold} of ${people.join(", ")}${level === "software" ? "" : `, ${level} at least`}`
}

function ruleLines(document: Document): readonly string[] {
  const gates = document["x-sealwright-gates"]
  const days = document["x-sealwright-offline-days"]
  return [
    ...(gates === undefined
      ? []
      : [`a release needs ${gates.approvals} approval(s); validation: ${gates.validation}`]),
    ...(days === undefined ? [] : [`devices may stay without news for ${days} days`]),
  ]
}

/** The newest first. */
function releaseLines(targets: NonNullable<Document["targets"]>): readonly string[] {
  const releases = Object.entries(targets)
    .map(([path, { custom, hashes }]) => ({
      name: path.slice(path.indexOf("/") + 1),
      counter: custom?.releaseCounter ?? 0,
      sha256: z.looseObject({ sha256: z.string() }).safeParse(hashes).data?.sha256 ?? "",
    }))
    .sort((a, b) => b.counter - a.counter)
  const older = releases.length - LISTED
  return [
    ...releases
      .slice(0, LISTED)
      .map(({ name, counter, sha256 }) => `release ${name}, counter ${counter}, sha256:${sha256}`),
    ...(older > 0 ? [`and ${older} older releases`] : []),
  ]
}
