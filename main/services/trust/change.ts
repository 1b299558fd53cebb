/** Making the trust root and changing it. Every change is a draft first; with all signatures here it is published at once. */
import { AppError } from "../../contract/errors.ts"
import {
  roleSchema,
  type ChangeTrust,
  type InitTrust,
  type RoleName,
  type RolesRequest,
  type Trust,
} from "../../contract/schema/trust.ts"
import { parseMetadata } from "../../core/tuf/metadata.ts"
import {
  checkPlan,
  releasesExpiry,
  toRoot,
  toTargets,
  type RolePlan,
  type Signed,
  type TrustPlan,
} from "../../core/tuf/plan.ts"
import { fingerprintOf } from "../../core/tuf/signing.ts"
import { logAct } from "../log/trust-log.ts"
import type { Ports } from "../ports.ts"
import { redirectFleet } from "../release/director.ts"
import {
  documentOf,
  draftOf,
  dropDraft,
  isComplete,
  keepDraft,
  needOf,
  readDraft,
  signDraft,
  type Draft,
  type DraftDocument,
} from "./draft.ts"
import { readSigner } from "./own-keys.ts"
import { currentPlan, directorRepository, findPlan, imageRepository, publishDraft } from "./publish.ts"
import { showTrust } from "./show.ts"

/** The first roots of both repositories and the delegations. Throws TRUST_EXISTS. */
export async function initTrust(ports: Ports, request: InitTrust): Promise<Trust> {
  if ((await findPlan(ports)) !== null)
    throw new AppError("TRUST_EXISTS", "this workspace has a trust root already")
  const plan: TrustPlan = {
    roles: await withRoles(ports, EMPTY_ROLES, request.roles),
    gates: request.gates,
    offlineDays: request.offlineDays,
  }
  checkPlan(plan)
  const now = ports.now()
  const owners = needOf("root", plan.roles.root)
  await start(
    ports,
    draftOf("the first trust root", [
      documentOf("image", "root", toRoot(plan, "image", 1, now), [owners]),
      documentOf("director", "root", toRoot(plan, "director", 1, now), [owners]),
      documentOf("image", "targets", toTargets(plan, 1, now), [owners]),
    ]),
  )
  return showTrust(ports)
}

export async function changeTrust(ports: Ports, request: ChangeTrust): Promise<Trust> {
  const before = await currentPlan(ports)
  const after = await changed(ports, before, request)
  checkPlan(after)
  await start(ports, await draftOfChange(ports, before, after, titleOf(request)))
  return showTrust(ports)
}

/** Signs with what is here; publishes if that is enough, keeps the draft if not. Throws TRUST_INCOMPLETE while another one waits. */
export async function start(ports: Ports, draft: Draft): Promise<boolean> {
  const waiting = await readDraft(ports)
  if (waiting !== null)
    throw new AppError("TRUST_INCOMPLETE", `"${waiting.title}" still waits for signatures`)
  return settle(ports, await signDraft(ports, draft))
}

/** Publishes a complete draft and forgets it; keeps any other. Says which of the two it was. */
export async function settle(ports: Ports, draft: Draft): Promise<boolean> {
  if (!isComplete(draft)) {
    await keepDraft(ports, draft)
    return false
  }
  const before = await findPlan(ports)
  await publishDraft(ports, draft)
  await dropDraft(ports)
  await logAct(ports, {
    act: "trust",
    what: draft.title,
    digests: draft.documents.map(({ signed }) => `sha256:${fingerprintOf(signed)}`),
  })
  if (before !== null) await redirectAfter(ports, before)
  return true
}

/**
 * Words of a director whose keys changed are worth nothing under its new root: they are said again by the new keys, so that
 * nobody has to publish. Where those keys are not here, `trust refresh` does it in the workspace that has them.
 */
async function redirectAfter(ports: Ports, before: TrustPlan): Promise<void> {
  const after = await currentPlan(ports)
  if (differs(before, after, ["director"])) await redirectFleet(ports)
}

async function draftOfChange(
  ports: Ports,
  before: TrustPlan,
  after: TrustPlan,
  title: string,
): Promise<Draft> {
  const now = ports.now()
  const oldOwners = needOf("root before", before.roles.root)
  const owners = needOf("root", after.roles.root)
  const isRotation = title.startsWith("rotate")
  const hasNewRoot = isRotation || differs(before, after, ["root", "online", "director"])
  const hasNewTargets =
    isRotation || differs(before, after, TARGETS_ROLES) || hasNewRoot || rulesDiffer(before, after)
  const documents: DraftDocument[] = []
  if (hasNewRoot) {
    for (const repository of ["image", "director"] as const) {
      const roots = repository === "image" ? imageRepository(ports) : directorRepository(ports)
      const version = ((await roots.latest("root"))?.version ?? 0) + 1
      const root = toRoot(after, repository, version, now)
      documents.push(documentOf(repository, "root", root, [oldOwners, owners]))
    }
  }
  if (hasNewTargets) {
    const version = ((await imageRepository(ports).latest("targets"))?.version ?? 0) + 1
    documents.push(documentOf("image", "targets", toTargets(after, version, now), [owners]))
  }
  const releases = await imageRepository(ports).latest("release-manager")
  if (releases !== null && (isRotation || differs(before, after, ["release-manager"]))) {
    const signed = parseMetadata("targets", releases.bytes, "the releases").signed.toJSON()
    const again: Signed = { ...signed, version: releases.version + 1, expires: releasesExpiry(after, now) }
    const managers = needOf("release-manager", after.roles["release-manager"])
    documents.push(documentOf("image", "release-manager", again, [managers]))
  }
  if (documents.length === 0) throw new AppError("TRUST_INVALID", "this changes nothing")
  return draftOf(title, documents)
}

const TARGETS_ROLES = ["release-manager", "packager", "approver", "auditor"] as const

function differs(before: TrustPlan, after: TrustPlan, roles: readonly RoleName[]): boolean {
  const textOf = (plan: TrustPlan) => JSON.stringify(roles.map((name) => plan.roles[name]))
  return textOf(before) !== textOf(after)
}

function rulesDiffer(before: TrustPlan, after: TrustPlan): boolean {
  const textOf = ({ gates, offlineDays }: TrustPlan) =>
    JSON.stringify([gates.approvals, gates.validation, offlineDays])
  return textOf(before) !== textOf(after)
}

async function changed(ports: Ports, before: TrustPlan, request: ChangeTrust): Promise<TrustPlan> {
  if (request.kind === "rotate") {
    return {
      roles: await withRoles(ports, before.roles, request.roles),
      gates: request.gates ?? before.gates,
      offlineDays: request.offlineDays ?? before.offlineDays,
    }
  }
  if (request.kind === "add-key") {
    const role = before.roles[request.role]
    const keys = [...role.keys, await readSigner(ports, request.signer)]
    const next = { ...role, keys, threshold: request.threshold ?? role.threshold }
    return { ...before, roles: { ...before.roles, [request.role]: next } }
  }
  const names = request.role === null ? roleSchema.options : [request.role]
  const gone = keysNamed(
    names.map((name) => before.roles[name]),
    request.key,
  )
  const roles = { ...before.roles }
  for (const name of names) {
    const role = roles[name]
    const keys = role.keys.filter(({ keyId }) => !gone.has(keyId))
    // A threshold that can no longer be met is refused later: whoever wants a lower one has to say so.
    if (keys.length < role.keys.length)
      roles[name] = { ...role, keys, threshold: request.threshold ?? role.threshold }
  }
  return { ...before, roles }
}

/** All keys of a person, or the one key whose id begins so. Throws ROLE_MISSING, and TRUST_INVALID where several ids do. */
function keysNamed(roles: readonly RolePlan[], name: string): ReadonlySet<string> {
  const keys = roles.flatMap((role) => role.keys)
  const ofPerson = keys.filter(({ person }) => person === name)
  if (ofPerson.length > 0) return new Set(ofPerson.map(({ keyId }) => keyId))
  const found = new Set(keys.map(({ keyId }) => keyId).filter((keyId) => keyId.startsWith(name)))
  if (found.size === 0) throw new AppError("ROLE_MISSING", `no role there has a key "${name.slice(0, 40)}"`)
  if (found.size > 1)
    throw new AppError("TRUST_INVALID", `the ids of ${found.size} keys begin with "${name}": give more of it`)
  return found
}

async function withRoles(
  ports: Ports,
  roles: TrustPlan["roles"],
  request: RolesRequest,
): Promise<TrustPlan["roles"]> {
  const next = { ...roles }
  for (const name of roleSchema.options) {
    const wanted = request[name]
    if (wanted === undefined) continue
    const keys = []
    for (const signer of wanted.signers) keys.push(await readSigner(ports, signer))
    next[name] = {
      keys,
      threshold: wanted.threshold ?? (ALONE.has(name) ? 1 : keys.length),
      assurance: wanted.assurance ?? roles[name].assurance,
    }
  }
  return next
}

/** Roles where any key will do unless somebody asks for more. */
const ALONE: ReadonlySet<RoleName> = new Set(["online", "director", "packager", "approver", "auditor"])

const NOBODY: RolePlan = { keys: [], threshold: 1, assurance: "software" }
const EMPTY_ROLES: TrustPlan["roles"] = {
  root: NOBODY,
  "release-manager": NOBODY,
  approver: NOBODY,
  packager: NOBODY,
  auditor: NOBODY,
  online: NOBODY,
  director: NOBODY,
}

function titleOf(request: ChangeTrust): string {
  if (request.kind === "rotate") {
    const { roles, gates, offlineDays } = request
    const changed = [
      ...Object.keys(roles),
      ...(gates === null ? [] : [`approvals ${gates.approvals}`, `validation ${gates.validation}`]),
      ...(offlineDays === null ? [] : [`${offlineDays} days without news`]),
    ]
    return `rotate ${changed.join(", ") || "all documents"}`
  }
  if (request.kind === "add-key") return `add a key to ${request.role}`
  return `remove ${request.key} from ${request.role ?? "every role"}`
}
