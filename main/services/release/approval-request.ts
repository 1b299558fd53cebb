/**
 * Approval by files, for people who share no workspace: the desk writes what it would show, a signer reads it elsewhere and
 * answers with a bundle, `attach` takes that in. The list of packages is checked against the digest that is signed; all else in
 * the file is the desk's word, and its gates are judged at the desk again.
 */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import {
  releaseSchema,
  type ApprovalSigned,
  type Release,
  type SignApproval,
} from "../../contract/schema/release.ts"
import { signStatement } from "../../core/attest/attestation.ts"
import { parseBase64, toBase64 } from "../../core/bytes/bytes.ts"
import { sha256Digest } from "../../core/oci/manifest.ts"
import { readReleaseIndex } from "../../core/policy/release.ts"
import type { SignRequest } from "../../contract/schema/trust.ts"
import type { Ports } from "../ports.ts"
import { chooseSigningKey } from "../signing.ts"
import { writeSmallFile } from "../small-file.ts"
import { readRequestFile, writeRequestFile } from "../trust/request-file.ts"
import { approvalOf } from "./create.ts"
import { showRelease } from "./show.ts"
import { openRelease } from "./store.ts"

const requestSchema = z.strictObject({
  kind: z.literal("sealwright-approval-request"),
  version: z.literal(1),
  release: releaseSchema,
  /** The release index, base64: what its digest is of. */
  index: z.string(),
})

/** Throws RELEASE_NOT_FOUND. */
export async function writeApprovalRequest(
  ports: Ports,
  name: string,
  output: SignRequest["output"],
): Promise<Release> {
  const release = await showRelease(ports, name)
  const opened = await openRelease(ports, name)
  await opened.file.close()
  const index = toBase64(opened.index.bytes)
  await writeRequestFile(ports, output, { kind: "sealwright-approval-request", version: 1, release, index })
  return release
}

/** Throws REQUEST_MALFORMED, also for a request whose packages are not those of its digest. */
export async function readApprovalRequest(ports: Ports, file: FileRef): Promise<Release> {
  const { release, index } = await readRequestFile(ports, file, requestSchema)
  const bytes = parseBase64(index)
  if (bytes === null || sha256Digest(bytes) !== release.digest)
    throw new AppError("REQUEST_MALFORMED", "the request's digest is not that of its list of packages")
  const listed = new Set<string>(readReleaseIndex(bytes))
  if (listed.size !== release.packages.length || !release.packages.every((digest) => listed.has(digest)))
    throw new AppError("REQUEST_MALFORMED", "the request names other packages than its list")
  return release
}

/**
 * One person's approval, as a file for the desk. Whether the key is an approver's is for the desk to say. Throws
 * RELEASE_CHANGED when the request is not about the release with the digest its signer looked at.
 */
export async function signApproval(ports: Ports, request: SignApproval): Promise<ApprovalSigned> {
  const { name, digest } = await readApprovalRequest(ports, request.request)
  if (request.digest !== null && request.digest !== digest)
    throw new AppError("RELEASE_CHANGED", `${name} is ${digest.slice(0, 19)}… in the request`)
  const { key, signer } = await chooseSigningKey(ports, request.key)
  const bundle = await signStatement(approvalOf({ name, digest }, ports.now()), signer)
  await writeSmallFile(ports, request.output, bundle)
  return { release: name, digest, key: key.name }
}
