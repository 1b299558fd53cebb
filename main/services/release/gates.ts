/** What a release needs before it may go out, judged from signed statements alone. */
import type { Gate } from "../../contract/schema/release.ts"
import { AppError } from "../../contract/errors.ts"
import { readAttestation, type Attestation } from "../../core/attest/attestation.ts"
import { attestationType, type AttestationName } from "../../core/attest/statement.ts"
import { parseTrustedKeys, type TrustedKeys } from "../../core/attest/trust.ts"
import type { RolePlan, TrustPlan } from "../../core/tuf/plan.ts"
import {
  approvalPredicateSchema,
  validationPredicateSchema,
  type ValidationPredicate,
} from "../../core/policy/release.ts"
import { readSignatures } from "../package-access.ts"
import type { OpenRelease } from "./store.ts"

export interface Gated {
  readonly gates: readonly Gate[]
  /** Passed validations by package. */
  readonly validations: ReadonlyMap<string, ValidationPredicate>
  /** People who approved, sorted. */
  readonly approvedBy: readonly string[]
}

export function judgeGates(release: OpenRelease, plan: TrustPlan, now: Date): Gated {
  const validations = passedValidations(release, plan, now)
  const people = approvers(release, plan, now)
  const packages = release.contents.packages.length
  const wanted = { none: 0, any: 1, all: packages }[plan.gates.validation]
  return {
    validations,
    approvedBy: people,
    gates: [
      signatureGate(release, plan, now),
      {
        gate: "validation",
        isOpen: validations.size >= wanted,
        detail: `${validations.size} of ${packages} packages passed, ${wanted} needed`,
      },
      {
        gate: "approvals",
        isOpen: people.length >= plan.gates.approvals,
        detail: `${people.length} of ${plan.gates.approvals}${people.length === 0 ? "" : `: ${people.join(", ")}`}`,
      },
    ],
  }
}

function keysOf(...roles: readonly RolePlan[]): TrustedKeys {
  return parseTrustedKeys(
    roles.flatMap(({ keys }) => keys).map(({ person, pem }) => ({ label: person, pem })),
  )
}

function signatureGate(release: OpenRelease, plan: TrustPlan, now: Date): Gate {
  try {
    const signed = readSignatures(release.contents, keysOf(plan.roles.packager), now)
    return { gate: "signatures", isOpen: true, detail: `${signed.size} parts signed by packagers` }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { gate: "signatures", isOpen: false, detail: error.message }
  }
}

function passedValidations(
  release: OpenRelease,
  plan: TrustPlan,
  now: Date,
): ReadonlyMap<string, ValidationPredicate> {
  const found = new Map<string, ValidationPredicate>()
  const packages = new Set(release.contents.packages.map(({ digest }) => digest))
  for (const { subject, attestation } of statements(
    release,
    "validation",
    keysOf(plan.roles.packager, plan.roles.auditor),
    now,
  )) {
    const predicate = validationPredicateSchema.safeParse(attestation.statement.predicate)
    if (packages.has(subject) && predicate.success && predicate.data.gate.passed)
      found.set(subject, predicate.data)
  }
  return found
}

/** Different people, whatever the number of their statements. */
function approvers(release: OpenRelease, plan: TrustPlan, now: Date): readonly string[] {
  const people = new Set<string>()
  if (plan.roles.approver.keys.length === 0) return []
  for (const { subject, attestation } of statements(release, "approval", keysOf(plan.roles.approver), now)) {
    const predicate = approvalPredicateSchema.safeParse(attestation.statement.predicate)
    if (subject === release.index.descriptor.digest && predicate.success)
      people.add(attestation.signedBy.label)
  }
  return [...people].sort()
}

/** Statements of a kind by a trusted key. One that does not verify is as if it were not there: it opens no gate. */
function* statements(
  release: OpenRelease,
  name: AttestationName,
  trust: TrustedKeys,
  now: Date,
): Generator<{ readonly subject: string; readonly attestation: Attestation }> {
  for (const bundle of release.bundles) {
    if (bundle.predicateType !== attestationType(name)) continue
    let attestation: Attestation
    try {
      attestation = readAttestation(bundle.bytes, trust, now)
    } catch (error) {
      if (error instanceof AppError) continue
      throw error
    }
    if (attestation.statement.predicateType !== attestationType(name)) continue
    for (const { digest } of attestation.statement.subjects) {
      if (digest["sha256"] !== undefined) yield { subject: `sha256:${digest["sha256"]}`, attestation }
    }
  }
}
