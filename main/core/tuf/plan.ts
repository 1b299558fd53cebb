/**
 * Who may sign what: the content of both roots and of the image repository's top-level targets, as one value. It is made from
 * signed documents and turned into the next ones; nothing else in a workspace says who is trusted (docs/FORMAT.md 10.2).
 */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { assuranceSchema } from "../../contract/schema/base.ts"
import { roleSchema, type RoleName } from "../../contract/schema/trust.ts"
import { parseJson } from "../bytes/json.ts"
import { fromTufKey, toTufKey, tufKeySchema, type TrustKey } from "./key.ts"
import { malformed } from "./metadata.ts"

type Assurance = TrustKey["assurance"]

export interface RolePlan {
  /** One a person, so that a threshold counts people. */
  readonly keys: readonly TrustKey[]
  readonly threshold: number
  /** How well each of its keys must be kept, at least. */
  readonly assurance: Assurance
}

export interface TrustPlan {
  readonly roles: Readonly<Record<RoleName, RolePlan>>
  readonly gates: Gates
  /** The longest time a device may stay without news, days: how long timestamps and deployments are valid. */
  readonly offlineDays: number
}

/** What a release needs before it may be published. */
export interface Gates {
  /** Approvals by different people. */
  readonly approvals: number
  /** Packages of the release that need a passed validation. */
  readonly validation: "all" | "any" | "none"
}

/** A document before it is signed. */
export type Signed = Readonly<Record<string, unknown>>

/** Roles that sign statements or releases, as delegations; the patterns are disjoint, so a target has one role. */
const DELEGATED = {
  "release-manager": "releases/*",
  packager: "packages/*",
  approver: "approvals/*",
  auditor: "audits/*",
} as const satisfies Partial<Record<RoleName, string>>
type DelegatedRole = keyof typeof DELEGATED
const DELEGATED_NAMES = ["release-manager", "packager", "approver", "auditor"] as const

const LEVELS: readonly Assurance[] = ["software", "hardware", "attested"]
const LEVEL = "x-sealwright-assurance"
const GATES = "x-sealwright-gates"
const OFFLINE = "x-sealwright-offline-days"
const SPECIFICATION = "1.0.31"

/** Days a document is valid, if that is longer than the longest disconnection. */
const LIFETIME_DAYS = { root: 730, targets: 730, releases: 365 } as const

function isAtLeast(level: Assurance, wanted: Assurance): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(wanted)
}

/** Throws TRUST_INVALID for keys and thresholds that cannot work, ROLE_ASSURANCE for a key kept worse than its role demands. */
export function checkPlan(plan: TrustPlan): void {
  for (const name of roleSchema.options) {
    const { keys, threshold, assurance } = plan.roles[name]
    if (keys.length === 0 && OPTIONAL.has(name)) continue
    if (!Number.isSafeInteger(threshold) || threshold < 1 || keys.length < threshold)
      throw invalid(`the role ${name} has ${keys.length} keys and a threshold of ${threshold}`)
    if (new Set(keys.map(({ person }) => person)).size !== keys.length)
      throw invalid(`a person has two keys in the role ${name}`)
    if (new Set(keys.map(({ keyId }) => keyId)).size !== keys.length)
      throw invalid(`a key stands twice in the role ${name}`)
    const weak = keys.find((key) => !isAtLeast(key.assurance, assurance))
    if (weak !== undefined)
      throw new AppError(
        "ROLE_ASSURANCE",
        `the role ${name} demands ${assurance} keys, the key of ${weak.person} is ${weak.assurance}`,
      )
  }
  const approvers = plan.roles.approver.keys.length
  if (plan.gates.approvals > approvers)
    throw invalid(
      `a release needs ${plan.gates.approvals} approval(s), and there are ${approvers} approvers: name them, or demand fewer`,
    )
}

/** Roles a small shop may leave empty; nobody can then do what they do. */
const OPTIONAL: ReadonlySet<RoleName> = new Set(["approver", "auditor"])

/** The root of one repository. `now` to the second; versions from 1. */
export function toRoot(
  plan: TrustPlan,
  repository: "image" | "director",
  version: number,
  now: Date,
): Signed {
  const { root, online, director } = plan.roles
  const roles =
    repository === "image"
      ? { root, targets: root, snapshot: online, timestamp: online }
      : { root, targets: director, snapshot: director, timestamp: director }
  return {
    _type: "root",
    ...common(version, expiryAfter(now, Math.max(LIFETIME_DAYS.root, plan.offlineDays))),
    consistent_snapshot: true,
    keys: toKeys(Object.values(roles)),
    roles: Object.fromEntries(Object.entries(roles).map(([name, role]) => [name, toRole(role)])),
  }
}

/** The image repository's top-level targets: delegations and rules, no targets of its own. */
export function toTargets(plan: TrustPlan, version: number, now: Date): Signed {
  const roles = DELEGATED_NAMES.filter((name) => plan.roles[name].keys.length > 0)
  return {
    _type: "targets",
    ...common(version, expiryAfter(now, Math.max(LIFETIME_DAYS.targets, plan.offlineDays))),
    targets: {},
    delegations: {
      keys: toKeys(roles.map((name) => plan.roles[name])),
      roles: roles.map((name) => toDelegation(name, plan.roles[name])),
    },
    [GATES]: plan.gates,
    [OFFLINE]: plan.offlineDays,
  }
}

/** When the releases, which the managers sign, have to be signed again. */
export function releasesExpiry(plan: TrustPlan, now: Date): string {
  return expiryAfter(now, Math.max(LIFETIME_DAYS.releases, plan.offlineDays))
}

export function common(version: number, expires: string) {
  return { spec_version: SPECIFICATION, version, expires }
}

/** As TUF writes dates: UTC, to the second. */
export function expiryAfter(now: Date, days: number): string {
  return toTufDate(new Date(now.getTime() + days * DAY_MS))
}

function toTufDate(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`
}

const DAY_MS = 86_400_000

/** The plan in three documents whose signatures were checked. Throws METADATA_MALFORMED for documents that are not ours. */
export function readPlan(documents: {
  readonly imageRoot: Uint8Array
  readonly directorRoot: Uint8Array
  readonly targets: Uint8Array
}): TrustPlan {
  const image = read(rootSchema, documents.imageRoot, "the image root")
  const director = read(rootSchema, documents.directorRoot, "the director's root")
  const targets = read(targetsSchema, documents.targets, "the targets")
  const delegated = (name: DelegatedRole): RolePlan => {
    const role = targets.delegations.roles.find((each) => each.name === name)
    return role === undefined ? NOBODY : fromRole(role, targets.delegations.keys)
  }
  return {
    roles: {
      root: fromRole(image.roles.root, image.keys),
      online: fromRole(image.roles.timestamp, image.keys),
      director: fromRole(director.roles.targets, director.keys),
      "release-manager": delegated("release-manager"),
      packager: delegated("packager"),
      approver: delegated("approver"),
      auditor: delegated("auditor"),
    },
    gates: targets[GATES],
    offlineDays: targets[OFFLINE],
  }
}

const NOBODY: RolePlan = { keys: [], threshold: 1, assurance: "software" }

const roleObject = z.looseObject({
  keyids: z.array(z.string()).max(64),
  threshold: z.int().positive(),
  [LEVEL]: assuranceSchema,
})
const keysObject = z.record(z.string(), tufKeySchema)
const rootSchema = z.looseObject({
  keys: keysObject,
  roles: z.looseObject({ root: roleObject, targets: roleObject, timestamp: roleObject }),
})
const gatesSchema = z.strictObject({
  approvals: z.int().nonnegative().max(64),
  validation: z.enum(["all", "any", "none"]),
})
const targetsSchema = z.looseObject({
  delegations: z.looseObject({
    keys: keysObject,
    roles: z.array(z.looseObject({ name: z.string(), ...roleObject.shape })).max(64),
  }),
  [GATES]: gatesSchema,
  [OFFLINE]: z.int().positive(),
})

function read<T>(schema: z.ZodType<T>, bytes: Uint8Array, name: string): T {
  const outer = z.looseObject({ signed: schema }).safeParse(parseJson(bytes, name))
  if (outer.success) return outer.data.signed
  const issue = outer.error.issues[0]
  throw malformed(name, `${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`)
}

function toKeys(roles: readonly RolePlan[]) {
  return Object.fromEntries(roles.flatMap(({ keys }) => keys).map((key) => [key.keyId, toTufKey(key)]))
}

function toRole({ keys, threshold, assurance }: RolePlan) {
  return { keyids: keys.map(({ keyId }) => keyId), threshold, [LEVEL]: assurance }
}

function toDelegation(name: DelegatedRole, role: RolePlan) {
  return { name, terminating: true, paths: [DELEGATED[name]], ...toRole(role) }
}

function fromRole(role: z.infer<typeof roleObject>, keys: z.infer<typeof keysObject>): RolePlan {
  return {
    keys: role.keyids.map((keyId) => {
      const key = keys[keyId]
      if (key === undefined) throw malformed("a role", `its key ${keyId.slice(0, 16)} is missing`)
      return fromTufKey(keyId, key)
    }),
    threshold: role.threshold,
    assurance: role[LEVEL],
  }
}

function invalid(reason: string): AppError {
  return new AppError("TRUST_INVALID", reason)
}
