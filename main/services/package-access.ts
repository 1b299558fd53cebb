/** Reading a package step by step, each step trusting only what the one before has checked (docs/FORMAT.md 8). */
import { AppError } from "../contract/errors.ts"
import type { Device } from "../contract/schema/keys.ts"
import { chunksOf, openHeader, readHeaderOf, type OpenedHeader } from "../core/age/file.ts"
import type { Identity } from "../core/age/recipient.ts"
import { parseIdentity } from "../core/age/recipients.ts"
import { nodeChunkCipher, openChunks } from "../core/age/stream.ts"
import { readAttestation, type Attestation } from "../core/attest/attestation.ts"
import { grantsSaid } from "../core/attest/grant-statement.ts"
import { attestationType, type AttestationName } from "../core/attest/statement.ts"
import { parseTrustedKeys, type TrustedKeys } from "../core/attest/trust.ts"
import { wipe } from "../core/bytes/bytes.ts"
import { sliceSource, type ByteSource } from "../core/bytes/source.ts"
import type { AttachedBundle, SealContents, SealPart } from "../core/oci/seal-file.ts"
import { MAX_GRANT_BYTES, readGrant, type Grant } from "../core/policy/grant.ts"
import { checkWindow } from "../core/policy/policy.ts"
import { readOverlay } from "../core/watermark/overlay.ts"
import { checkBinding } from "../core/watermark/overlay-apply.ts"
import type { FileRef } from "../contract/schema/base.ts"
import type { Ports } from "./ports.ts"

/** A package and the grant that opens it for one device. Nothing of the payload has been opened. */
export interface GrantedPackage {
  readonly part: SealPart
  readonly grant: Grant
  /** Digest of the grant's manifest. */
  readonly grantDigest: string
  readonly payload: OpenedHeader
}

export async function readTrust(
  ports: Ports,
  from: FileRef | null,
): Promise<{ readonly keys: TrustedKeys; readonly pems: readonly string[] }> {
  const sources = await ports.trust.read(from)
  return { keys: parseTrustedKeys(sources), pems: sources.map(({ pem }) => pem) }
}

/** The packagers of a trust root, as the keys that count. */
export function trustIn(pems: readonly string[]): {
  readonly keys: TrustedKeys
  readonly pems: readonly string[]
} {
  return { keys: parseTrustedKeys(pems.map((pem) => ({ label: "packager", pem }))), pems }
}

/**
 * The signed statement of every package and grant, by manifest digest (FORMAT 7.2). Throws SIGNATURE_MISSING when one has
 * none, and whatever is wrong with the first signature that does not hold.
 */
export function readSignatures(
  contents: SealContents,
  trust: TrustedKeys,
  now: Date,
): ReadonlyMap<string, Attestation> {
  const statements = new Map<string, Attestation>()
  // One bundle may be about many grants: its signature is checked once.
  const read = remembered((bundle: AttachedBundle) => readAttestation(bundle.bytes, trust, now))
  const demand = (parts: readonly SealPart[], name: AttestationName) => {
    const bundlesOf = bundlesAbout(contents, name)
    for (const { digest } of parts)
      statements.set(digest, readSignature(digest, name, bundlesOf(digest), read))
  }
  demand(contents.packages, "copy")
  demand(contents.grants, "grant")
  return statements
}

/**
 * The bundles that may be about a part: those attached to it, and for a grant those attached to a package that name it. The
 * manifest's word for what a bundle carries is not signed; it only says where to look.
 */
function bundlesAbout(
  { bundles, packages }: SealContents,
  name: AttestationName,
): (digest: string) => readonly AttachedBundle[] {
  const attached = Map.groupBy(bundles, ({ subject }) => subject)
  if (name !== "grant") return (digest) => attached.get(digest) ?? []
  const shared = packages
    .flatMap(({ digest }) => attached.get(digest) ?? [])
    .filter(({ predicateType }) => predicateType === attestationType("grant"))
    .map((bundle) => ({ bundle, said: grantsSaid(bundle.bytes) }))
  return (digest) => [
    ...(attached.get(digest) ?? []),
    // One that cannot be read may be about any of them; then it says what is wrong.
    ...shared.filter(({ said }) => said === null || said.has(digest)).map(({ bundle }) => bundle),
  ]
}

function readSignature(
  digest: string,
  name: AttestationName,
  bundles: readonly AttachedBundle[],
  read: (bundle: AttachedBundle) => Attestation,
): Attestation {
  const wanted = attestationType(name)
  let refusal: unknown = new AppError(
    "SIGNATURE_MISSING",
    `the ${name} ${digest.slice(0, 19)}… has no signature`,
  )
  for (const bundle of bundles) {
    try {
      const { statement, ...rest } = read(bundle)
      const isAbout = statement.subjects.some(
        (subject) => `sha256:${subject.digest["sha256"] ?? ""}` === digest,
      )
      if (isAbout && statement.predicateType === wanted) return { statement, ...rest }
      refusal = new AppError(
        "SIGNATURE_INVALID",
        `a signature is about something else than the ${name} it is attached to`,
      )
    } catch (error) {
      refusal = error
    }
  }
  throw refusal
}

/** The same answer, or the same refusal, for the same argument. */
function remembered<K, V>(work: (key: K) => V): (key: K) => V {
  const known = new Map<K, () => V>()
  return (key) => {
    let answer = known.get(key)
    if (answer === undefined) {
      answer = outcomeOf(() => work(key))
      known.set(key, answer)
    }
    return answer()
  }
}

function outcomeOf<V>(work: () => V): () => V {
  try {
    const value = work()
    return () => value
  } catch (error) {
    return () => {
      throw error
    }
  }
}

/**
 * The grant for `device` and the package it is for (FORMAT 5). Throws PACKAGE_NOT_FOR_DEVICE when no grant opens with the
 * device's key, DEVICE_KEY_ABSENT when that key is not here, POLICY_EXPIRED outside the validity window.
 */
export async function openGrant(
  ports: Ports,
  file: ByteSource,
  contents: SealContents,
  device: Device,
): Promise<GrantedPackage> {
  const identity = await deviceIdentity(ports, device)
  let hasForeign = false
  for (const part of contents.grants) {
    const grant = await tryGrant(file, part, identity)
    if (grant === null) continue
    const target = contents.packages.find((candidate) => candidate.digest === grant.document.package)
    if (target === undefined) {
      // A file filled from a registry may hold grants of other releases too.
      hasForeign = true
      continue
    }
    checkWindow(grant.document.policy, ports.now())
    checkOverlay(grant, target, device)
    const opener = grant.releaseIdentity === null ? identity : parseIdentity(grant.releaseIdentity)
    return {
      part: target,
      grant,
      grantDigest: part.digest,
      payload: await openHeader(partSource(file, target), [opener]),
    }
  }
  if (hasForeign) throw new AppError("SEAL_INCOMPLETE", "the grant is for a package that is not in the file")
  throw new AppError("PACKAGE_NOT_FOR_DEVICE", `no grant in the file opens with the key of ${device.name}`)
}

/** Wipes what a granted package holds of secrets. */
export function wipeGranted(granted: GrantedPackage): void {
  wipe(granted.payload.key, granted.grant.overlay)
}

/** Throws OVERLAY_MALFORMED, and OVERLAY_MISMATCH unless the overlay is for this payload, model and device (FORMAT 6.4). */
function checkOverlay(grant: Grant, target: SealPart, device: Device): void {
  if (grant.overlay === null) return
  checkBinding(readOverlay(grant.overlay), {
    base: Buffer.from(target.layer.digest.slice("sha256:".length), "hex"),
    model: Buffer.from(grant.document.model.root, "hex"),
    recipient: device.recipient,
  })
}

/** The bytes of a part's layer inside the .seal file. */
function partSource(file: ByteSource, part: SealPart): ByteSource {
  return sliceSource(file, part.entry.offset, part.entry.size)
}

/** The stanza types of a layer's header: what kinds of key it is encrypted to. Public information. */
export async function recipientTypes(file: ByteSource, part: SealPart): Promise<readonly string[]> {
  const header = await readHeaderOf(partSource(file, part))
  return header.stanzas.map((stanza) => stanza.type)
}

async function deviceIdentity(ports: Ports, device: Device): Promise<Identity> {
  if (!device.holdsKey)
    throw new AppError("DEVICE_KEY_ABSENT", `the private key of ${device.name} is not in this workspace`)
  return ports.keys.identity(await ports.keys.find(device.name, "device"))
}

/** The grant, or `null` when it is for somebody else. The header decides that, before the rest is read. */
async function tryGrant(file: ByteSource, part: SealPart, identity: Identity): Promise<Grant | null> {
  const source = partSource(file, part)
  if (source.size > MAX_GRANT_BYTES)
    throw new AppError("SEAL_MALFORMED", "a grant is larger than any overlay")
  let opened: OpenedHeader
  try {
    opened = await openHeader(source, [identity])
  } catch (error) {
    if (error instanceof AppError && error.code === "WRONG_KEY") return null
    throw error
  }
  const plain = new Uint8Array(opened.plainBytes)
  try {
    const sealed = await chunksOf(source, opened).read(0, opened.chunksBytes)
    openChunks(nodeChunkCipher, opened.key, 0, true, sealed, plain)
    return await readGrant(plain)
  } finally {
    wipe(plain, opened.key)
  }
}
