/** The verdict on a .seal file: every check of docs/FORMAT.md 8 by name. No network, and nothing is used before it is checked. */
import { AppError } from "../contract/errors.ts"
import type { Verdict, VerifyRequest } from "../contract/schema/verify.ts"
import type { Attestation } from "../core/attest/attestation.ts"
import type { TrustedKeys } from "../core/attest/trust.ts"
import { toDigest } from "../core/oci/manifest.ts"
import { readSealFile, type SealContents, type SealPart } from "../core/oci/seal-file.ts"
import { Checklist } from "./checklist.ts"
import type { JobContext } from "./jobs.ts"
import { notAppliedIn } from "./not-applied.ts"
import {
  openGrant,
  readSignatures,
  readTrust,
  recipientTypes,
  wipeGranted,
  type GrantedPackage,
} from "./package-access.ts"
import { checkModel, openPayload, type OpenedPayload } from "./payload-access.ts"
import type { OpenFile, Ports } from "./ports.ts"

export async function verify(ports: Ports, request: VerifyRequest, job: JobContext): Promise<Verdict> {
  const startedAt = performance.now()
  const device = request.device === null ? null : await ports.devices.find(request.device)
  const trust = await readTrust(ports, request.trust)
  const file = await ports.files.open(request.file)
  try {
    const list = new Checklist()
    const contents = await list.check("container", "2, 3", "Container complete and well-formed", async () => {
      const value = await readSealFile(file)
      const { packages, grants } = value
      return {
        value,
        reason: `${counted(packages.length, "package")}, ${counted(grants.length, "grant")}, nothing missing, nothing extra`,
      }
    })
    const statements = await list.check(
      "signatures",
      "7.2",
      "Packages and grants signed by a trusted key",
      async () => {
        const value = readSignatures(present(contents), trust.keys, ports.now())
        const labels = [...new Set([...value.values()].map(({ signedBy }) => signedBy.label))]
        return { value, reason: `${counted(value.size, "signature")} by ${labels.join(", ")}` }
      },
    )
    await list.check("headers", "4.1", "Payload and grant headers well-formed", async () => {
      const { packages, grants } = present(contents)
      const types = await Promise.all(
        [...packages, ...grants].map(async (part) => recipientTypes(file, part)),
      )
      return { value: null, reason: `encrypted to ${[...new Set(types.flat())].join(", ")}` }
    })
    const granted =
      device === null
        ? null
        : await list.check("grant", "5", `Grant for ${device.name}`, async () => {
            const value = await openGrant(ports, file, present(contents), device)
            return { value, reason: `opens, and is for package ${value.part.digest.slice(0, 19)}…` }
          })
    try {
      await checkContents(ports, file, contents, granted, device !== null, trust.keys, list, job)
      return toVerdict(list, { name: file.name, statements, granted, startedAt })
    } finally {
      if (granted !== null) wipeGranted(granted)
    }
  } finally {
    await file.close()
  }
}

/** The checks that read whole layers; the device's own payload is hashed and opened in one pass. */
async function checkContents(
  ports: Ports,
  file: OpenFile,
  contents: SealContents | null,
  granted: GrantedPackage | null,
  hasDevice: boolean,
  trust: TrustedKeys,
  list: Checklist,
  job: JobContext,
): Promise<void> {
  let outcome: PayloadOutcome | null = null
  await list.check("digests", "3.4", "Encrypted content matches the signed digests", async () => {
    const { packages, grants } = present(contents)
    let bytes = 0
    for (const part of [...packages, ...grants]) {
      if (part === granted?.part) outcome = await tryPayload(ports, file, granted, job)
      const opened = part === granted?.part ? outcome?.opened : null
      const digest = opened?.digest ?? (await digestOf(ports, file, part, job))
      if (toDigest(digest) !== part.layer.digest) {
        throw new AppError(
          "SEAL_DIGEST_MISMATCH",
          `${part.layer.digest.slice(0, 19)}… does not have the content its name promises`,
        )
      }
      bytes += part.layer.size
    }
    return { value: null, reason: `${counted(packages.length + grants.length, "blob")}, ${bytes} bytes` }
  })
  if (!hasDevice) {
    list.skip("payload", "4", PAYLOAD_TITLE, "needs a device: only its key opens the payload")
    list.skip("model", "7.1", MODEL_TITLE, "needs a device: only its key opens the payload")
    return
  }
  const opened = await list.check("payload", "4", PAYLOAD_TITLE, async () => {
    const { opened: value, failure } = present<PayloadOutcome>(outcome)
    if (value === null) throw failure
    return { value, reason: `${counted(value.archive.external.length + 1, "file")} inside` }
  })
  await list.check("model", "7.1", MODEL_TITLE, async () => {
    const label = await checkModel(present(opened), present(granted), trust, ports.now())
    return { value: null, reason: `every file as signed by ${label}` }
  })
}

const PAYLOAD_TITLE = "Payload opens and every chunk is authentic"
const MODEL_TITLE = "Model files are the ones that were signed"

interface PayloadOutcome {
  readonly opened: OpenedPayload | null
  readonly failure: unknown
}

/** A payload that does not open is judged after its digest: content that was altered is not what the signer promised. */
async function tryPayload(
  ports: Ports,
  file: OpenFile,
  granted: GrantedPackage,
  job: JobContext,
): Promise<PayloadOutcome> {
  try {
    return { opened: await openPayload(ports, file, granted, null, job), failure: null }
  } catch (failure) {
    job.signal.throwIfAborted()
    return { opened: null, failure }
  }
}

async function digestOf(ports: Ports, file: OpenFile, part: SealPart, job: JobContext): Promise<Uint8Array> {
  return ports.payload.digest(
    file.number,
    part.entry.offset,
    part.entry.size,
    job.step("check digests", part.entry.size),
  )
}

interface Judged {
  readonly name: string
  readonly statements: ReadonlyMap<string, Attestation> | null
  readonly granted: GrantedPackage | null
  readonly startedAt: number
}

function toVerdict(list: Checklist, { name, statements, granted, startedAt }: Judged): Verdict {
  const attestations = [...(statements?.values() ?? [])]
  const statement =
    attestations.find(({ statement: { predicateType } }) => predicateType.includes(":copy:"))?.statement
      .predicate ?? {}
  const signers = new Map(attestations.map(({ signedBy }) => [signedBy.hint, signedBy.label]))
  return {
    verdict: list.hasFailed ? "refused" : "verified",
    name,
    checks: [...list.checks],
    statement: { ...statement },
    policy: granted === null || list.hasFailed ? null : { ...granted.grant.document.policy },
    signers: [...signers].map(([fingerprint, label]) => ({ fingerprint, label })),
    notApplied: notAppliedIn(statement),
    seconds: (performance.now() - startedAt) / 1000,
  }
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`
}

/** A value an earlier check produced; this one would not run had it failed. */
function present<T>(value: T | null): T {
  if (value === null) throw new AppError("INTERNAL", "a check ran after one it depends on had failed")
  return value
}
