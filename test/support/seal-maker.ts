/** Builds .seal files in memory from parts a test chooses, signed by a key a test holds. */
import { createHash } from "node:crypto"
import type { Mode } from "../../main/contract/schema/base.ts"
import { encryptBytes } from "../../main/core/age/file.ts"
import type { Recipient } from "../../main/core/age/recipient.ts"
import { parseRecipient } from "../../main/core/age/recipients.ts"
import { generateX25519, x25519IdentityText } from "../../main/core/age/x25519.ts"
import { signStatement } from "../../main/core/attest/attestation.ts"
import { signModel } from "../../main/core/attest/model-signing.ts"
import { attestationType, toStatementBytes, type AttestationName } from "../../main/core/attest/statement.ts"
import { concat, toHex } from "../../main/core/bytes/bytes.ts"
import {
  blobOf,
  bundleManifest,
  grantManifest,
  packageManifest,
  type Descriptor,
} from "../../main/core/oci/manifest.ts"
import { MEDIA } from "../../main/core/oci/media-types.ts"
import { MODEL_SIGNATURE_NAME } from "../../main/core/oci/payload-archive.ts"
import { TAR_END, tarHeader, tarPadding } from "../../main/core/oci/tar.ts"
import { writeGrant, type Grant } from "../../main/core/policy/grant.ts"
import { OPEN_POLICY } from "../../main/core/policy/policy.ts"
import { modelRoot } from "../../main/services/model-root.ts"
import type { PendingFile } from "../../main/services/ports.ts"
import { SealWriter } from "../../main/services/seal-writer.ts"
import type { TestKey } from "./software-signer.ts"
import { seededRandom } from "./seeded-random.ts"

export interface ModelFile {
  readonly name: string
  readonly bytes: Uint8Array
}

export interface FleetOrder {
  readonly seed: number
  readonly signer: TestKey
  /** What the shared payload holds. */
  readonly base: readonly ModelFile[]
  readonly device: { readonly name: string; readonly recipient: string }
  /** What the device will see, and the overlay that turns the base into it. */
  readonly assembled: readonly ModelFile[]
  overlay(base: Uint8Array, model: Uint8Array): Uint8Array | null
}

export interface IndividualOrder {
  readonly seed: number
  readonly signer: TestKey
  readonly files: readonly ModelFile[]
  readonly device: { readonly name: string; readonly recipient: string }
}

const CREATED_AT = "2026-01-01T00:00:00.000Z"

/** A fleet-mode .seal file with one package and one grant. */
export async function makeFleetSeal(order: FleetOrder): Promise<Buffer> {
  const random = seededRandom(order.seed)
  const file = memoryFile()
  const writer = new SealWriter(file)
  const release = generateX25519(random)
  const payload = await writer.blob(
    blobOf(
      MEDIA.payloadLayer,
      encryptBytes(archiveOf(order.base), [parseRecipient(release.recipient)], random),
    ),
  )
  const packaged = await writer.manifest(packageManifest(payload))
  const files = order.assembled.map(({ name, bytes }) => ({ name, sha256: sha256(bytes) }))
  const root = modelRoot(files)
  const plain = writeGrant({
    document: documentOf("fleet", order.device.name, packaged, root),
    releaseIdentity: x25519IdentityText(release.secretKey),
    modelSignature: await signModel(files[0]?.name ?? "model", files, order.signer.signer),
    overlay: order.overlay(hexBytes(payload.digest.slice("sha256:".length)), hexBytes(root)),
    golden: null,
  })
  const recipient: Recipient = parseRecipient(order.device.recipient)
  await finish(writer, order.signer, packaged, encryptBytes(plain, [recipient], random))
  return file.bytes()
}

/** An individual-mode .seal file with one package and its grant. */
export async function makeIndividualSeal(order: IndividualOrder): Promise<Buffer> {
  const random = seededRandom(order.seed)
  const file = memoryFile()
  const writer = new SealWriter(file)
  const recipient = parseRecipient(order.device.recipient)
  const files = order.files.map(({ name, bytes }) => ({ name, sha256: sha256(bytes) }))
  const signature = await signModel(files[0]?.name ?? "model", files, order.signer.signer)
  const payload = await writer.blob(
    blobOf(MEDIA.payloadLayer, encryptBytes(archiveOf(order.files, signature), [recipient], random)),
  )
  const packaged = await writer.manifest(packageManifest(payload))
  const plain = writeGrant({
    document: documentOf("individual", order.device.name, packaged, modelRoot(files)),
    releaseIdentity: null,
    modelSignature: null,
    overlay: null,
    golden: null,
  })
  await finish(writer, order.signer, packaged, encryptBytes(plain, [recipient], random))
  return file.bytes()
}

function documentOf(mode: Mode, device: string, packaged: Descriptor, root: string): Grant["document"] {
  return {
    version: 1,
    mode,
    device,
    package: packaged.digest,
    model: { root },
    policy: OPEN_POLICY,
    issuedAt: CREATED_AT,
  }
}

async function finish(
  writer: SealWriter,
  signer: TestKey,
  packaged: Descriptor,
  grantFile: Uint8Array,
): Promise<void> {
  const grant = await writer.blob(blobOf(MEDIA.grantLayer, grantFile))
  const granted = await writer.manifest(grantManifest(grant))
  await attest(writer, signer, packaged, "copy")
  await attest(writer, signer, granted, "grant")
  await writer.finish()
}

/** The plaintext of a payload that holds these files, with `signature` as its last entry if there is one. */
function archiveOf(files: readonly ModelFile[], signature: Uint8Array | null = null): Uint8Array {
  const entries = signature === null ? files : [...files, { name: MODEL_SIGNATURE_NAME, bytes: signature }]
  return concat(
    ...entries.flatMap(({ name, bytes }) => [tarHeader(name, bytes.length), bytes, tarPadding(bytes.length)]),
    TAR_END,
  )
}

async function attest(
  writer: SealWriter,
  signer: TestKey,
  subject: Descriptor,
  name: AttestationName,
): Promise<void> {
  const predicateType = attestationType(name)
  const statement = toStatementBytes({
    subjects: [{ name: "", digest: { sha256: subject.digest.slice("sha256:".length) } }],
    predicateType,
    predicate: { createdAt: CREATED_AT },
  })
  const bundle = await writer.blob(blobOf(MEDIA.bundle, await signStatement(statement, signer.signer)))
  await writer.manifest(bundleManifest(subject, bundle, predicateType, CREATED_AT))
}

/** A file that is only memory. */
export function memoryFile(): PendingFile & { bytes(): Buffer } {
  const parts: Uint8Array[] = []
  let end = 0
  return {
    number: -1,
    write: async (offset, bytes) => {
      if (offset !== end) throw new Error("the writer went back")
      parts.push(bytes.slice())
      end += bytes.length
    },
    read: async (offset, length) => Buffer.concat(parts).subarray(offset, offset + length),
    commit: async () => {},
    discard: async () => {},
    bytes: () => Buffer.concat(parts),
  }
}

function sha256(bytes: Uint8Array): string {
  return toHex(createHash("sha256").update(bytes).digest())
}

function hexBytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"))
}
