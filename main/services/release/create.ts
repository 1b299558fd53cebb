/** Packages become a release, and people approve it. */
import { AppError } from "../../contract/errors.ts"
import type { ApproveRequest, CreateRelease } from "../../contract/schema/release.ts"
import { signStatement } from "../../core/attest/attestation.ts"
import { attestationType, toStatementBytes } from "../../core/attest/statement.ts"
import { readAll } from "../../core/bytes/source.ts"
import { ANY_HARDWARE } from "../../core/policy/deployment.ts"
import { readSealFile } from "../../core/oci/seal-file.ts"
import { trustKey } from "../../core/tuf/key.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { JobContext } from "../jobs.ts"
import type { OpenFile, Ports } from "../ports.ts"
import { attachBundles, copyParts, layerBytes } from "../seal-copy.ts"
import { SealWriter } from "../seal-writer.ts"
import { chooseSigningKey } from "../signing.ts"
import { currentPlan } from "../trust/publish.ts"
import { attach, findRelease, keepRelease, openRelease, sealOf } from "./store.ts"

/** A bundle is a signature and a small statement. */
const MAX_BUNDLE_BYTES = 4 << 20

/** Copies the packages with their grants and statements into one file. Throws RELEASE_EXISTS: a release never changes. */
export async function createRelease(ports: Ports, request: CreateRelease, job: JobContext): Promise<void> {
  const { name } = request
  await currentPlan(ports)
  if ((await findRelease(ports, name)) !== null)
    throw new AppError("RELEASE_EXISTS", `there is a release ${name} already`)
  const output = await ports.files.create(await sealOf(ports, name), { replace: true, isSecret: false })
  try {
    const writer = new SealWriter(output)
    for (const ref of request.packages) {
      const file = await ports.files.open(ref)
      try {
        await copyAll(writer, output, file, job)
      } finally {
        await file.close()
      }
    }
    await writer.finish()
    job.signal.throwIfAborted()
    await output.commit()
  } finally {
    await output.discard()
  }
  await keepRelease(ports, {
    version: 1,
    name,
    createdAt: ports.now().toISOString(),
    hardwareIds: request.hardwareIds.length === 0 ? [ANY_HARDWARE] : [...request.hardwareIds].sort(),
    content: name,
  })
}

async function copyAll(
  writer: SealWriter,
  output: Awaited<ReturnType<Ports["files"]["create"]>>,
  file: OpenFile,
  job: JobContext,
): Promise<void> {
  const contents = await readSealFile(file)
  const parts = [...contents.packages, ...contents.grants]
  await copyParts(writer, output, file, parts, job.step(`copy ${file.name}`, layerBytes(parts)))
  await attachBundles(writer, parts, contents.bundles)
}

/**
 * One person's signature under a release. Throws ROLE_MISSING unless the trust root lets the key approve, RELEASE_CHANGED when
 * the release is not the one with the digest its approver looked at.
 */
export async function approveRelease(
  ports: Ports,
  { name, key: keyName, digest }: ApproveRequest,
): Promise<void> {
  const plan = await currentPlan(ports)
  const { key, signer } = await chooseSigningKey(ports, keyName)
  const { keyId } = trustKey(signer.publicKeyPem(), key.name, key.assurance)
  if (!plan.roles.approver.keys.some((each) => each.keyId === keyId))
    throw new AppError("ROLE_MISSING", `key ${key.name} is not the key of an approver`)
  const release = await openRelease(ports, name)
  try {
    const found = release.index.descriptor.digest
    if (digest !== null && digest !== found)
      throw new AppError("RELEASE_CHANGED", `${name} is ${found.slice(0, 19)}…, not ${digest.slice(0, 19)}…`)
    const statement = approvalOf({ name, digest: found }, ports.now())
    await attach(ports, release, await signStatement(statement, signer))
  } finally {
    await release.file.close()
  }
}

/** The statement a person signs when a release may go out. */
export function approvalOf(
  { name, digest }: { readonly name: string; readonly digest: string },
  now: Date,
): Uint8Array {
  return toStatementBytes({
    subjects: [{ name: "", digest: { sha256: digest.slice("sha256:".length) } }],
    predicateType: attestationType("approval"),
    predicate: { release: name, createdAt: now.toISOString() },
  })
}

/** Statements made elsewhere: validations, approvals of people with their own workspace. */
export async function attachStatements(
  ports: Ports,
  name: string,
  bundles: readonly FileRef[],
): Promise<void> {
  const release = await openRelease(ports, name)
  try {
    for (const ref of bundles) {
      const file = await ports.files.open(ref)
      try {
        const tooLarge = () =>
          new AppError("SIGNATURE_MALFORMED", `${file.name} is too large for a statement`)
        await attach(ports, release, await readAll(file, MAX_BUNDLE_BYTES, tooLarge))
      } finally {
        await file.close()
      }
    }
  } finally {
    await release.file.close()
  }
}
