/** News for a device: trusted roots first, then what both repositories say, then the package itself, encrypted as it came. */
import { AppError, toAppError } from "../../contract/errors.ts"
import type { DeploymentStatus, Provision, Provisioned, Slot } from "../../contract/schema/deployment.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { Device } from "../../contract/schema/keys.ts"
import { parseTrustedKeys } from "../../core/attest/trust.ts"
import { sha256Digest } from "../../core/oci/manifest.ts"
import { readSealFile, type SealContents, type SealPart } from "../../core/oci/seal-file.ts"
import { createDeviceId } from "../../core/policy/device-id.ts"
import { ANY_HARDWARE, judgeDeployment, type Deployment, type Judged } from "../../core/policy/deployment.ts"
import { TufClient } from "../../core/tuf/client.ts"
import type { JobContext } from "../jobs.ts"
import { openGrant, readSignatures, wipeGranted } from "../package-access.ts"
import type { OpenFile, Ports } from "../ports.ts"
import { addTrustDocuments, attachBundle, copyPart } from "../seal-copy.ts"
import { SealWriter } from "../seal-writer.ts"
import { sealSources, type SealSources } from "./seal-source.ts"
import {
  activeSlot,
  effectiveNow,
  findState,
  keepReleaseIndex,
  folderOf,
  keepState,
  keptSource,
  raisedFloor,
  readState,
  statusOf,
  viewOf,
  type DeviceState,
} from "./state.ts"

/** Pins both roots of a .seal file and makes the key that signs receipts. Throws DEVICE_PROVISIONED. */
export async function provision(ports: Ports, request: Provision): Promise<Provisioned> {
  const device = await ports.devices.find(request.device)
  if ((await findState(ports, device)) !== null)
    throw new AppError("DEVICE_PROVISIONED", `${device.name} has a trust root already`)
  const deviceId = createDeviceId(device.recipient)
  const file = await ports.files.open(request.from)
  try {
    const sources = sealSources(file, await readSealFile(file, { mayLackPackages: true }), deviceId)
    const pinned = { image: new Uint8Array(0), director: new Uint8Array(0) }
    for (const repository of ["image", "director"] as const) {
      const first = await sources[repository].read("1.root.json", Number.MAX_SAFE_INTEGER)
      if (first === null) throw new AppError("METADATA_MISSING", `${file.name} holds no ${repository} root`)
      const client = new TufClient(new Map([["root", first]]), ports.now())
      await client.followRoots(sources[repository])
      pinned[repository] = Uint8Array.from(client.trusted.get("root") ?? first)
      await ports.documents.write(`${folderOf(device)}/${repository}/root.json`, pinned[repository])
    }
    await ports.floors.prepare(device)
    const receiptKey = await receiptKeyOf(ports, device)
    await keepState(ports, device, {
      version: 1,
      hardwareId: request.hardwareId ?? ANY_HARDWARE,
      active: null,
      slots: { a: null, b: null },
      incoming: null,
      clockFloor: ports.now().toISOString(),
      result: { what: "provision", code: null, detail: "trust root pinned" },
      receiptKey: receiptKey.name,
    })
    return {
      device: device.name,
      deviceId,
      imageRoot: sha256Digest(pinned.image).slice("sha256:".length),
      directorRoot: sha256Digest(pinned.director).slice("sha256:".length),
      receiptKey: { name: receiptKey.name, publicKeyPem: receiptKey.publicKeyPem ?? "" },
    }
  } finally {
    await file.close()
  }
}

/** A key of that name that is there already, in whatever hardware, is taken. */
async function receiptKeyOf(ports: Ports, { name }: Device) {
  const wanted = `${name}-receipts`
  const found = (await ports.keys.list()).find((key) => key.name === wanted && key.purpose === "signing")
  if (found !== undefined) return found
  const place = { provider: "software", passphrase: false } as const
  return ports.keys.create({ name: wanted, purpose: "signing", algorithm: "P-256", place })
}

/** Throws the refusal of the first check that failed; what was verified before it is kept. */
export async function syncDevice(
  ports: Ports,
  request: { readonly device: string; readonly from: FileRef },
  job: JobContext,
): Promise<DeploymentStatus> {
  const device = await ports.devices.find(request.device)
  const state = await readState(ports, device)
  const file = await ports.files.open(request.from)
  try {
    const contents = await readSealFile(file, { mayLackPackages: true })
    const judged = await judgeSeal(ports, device, state, file, contents)
    const clockFloor = raisedFloor(
      ports,
      state.clockFloor,
      judged.head.issuedAt,
      judged.deployment?.expires ?? judged.director.timestamp.signed.expires,
    )
    const { deployment } = judged
    if (judged.releaseIndex !== null) await keepReleaseIndex(ports, device, judged.releaseIndex)
    if (deployment === null)
      return await settle(ports, device, { ...state, clockFloor }, "nothing to run here")
    if (isSame(activeSlot(state), deployment) || isSame(state.incoming, deployment))
      return await settle(ports, device, { ...state, clockFloor }, "nothing new")
    const incoming = await fetchPackage(ports, device, file, contents, judged, deployment, job)
    return await settle(
      ports,
      device,
      { ...state, clockFloor, incoming },
      `${deployment.release} is ready to install`,
    )
  } catch (error) {
    const { code, message } = toAppError(error)
    if (code !== "CANCELLED" && code !== "INTERNAL")
      await keepState(ports, device, { ...state, result: { what: "sync", code, detail: message } })
    throw error
  } finally {
    await file.close()
  }
}

/** Both repositories in a .seal file, judged by what the device keeps. */
async function judgeSeal(
  ports: Ports,
  device: Device,
  state: DeviceState,
  file: OpenFile,
  contents: SealContents,
): Promise<Judged> {
  return judge(ports, device, state, sealSources(file, contents, createDeviceId(device.recipient)))
}

/** What the device keeps, judged again: no other file is needed. */
export async function judgeKept(ports: Ports, device: Device, state: DeviceState): Promise<Judged> {
  return judge(ports, device, state, {
    image: await keptSource(ports, device, "image"),
    director: await keptSource(ports, device, "director"),
  })
}

async function judge(
  ports: Ports,
  device: Device,
  state: DeviceState,
  sources: SealSources,
): Promise<Judged> {
  const deviceId = createDeviceId(device.recipient)
  return judgeDeployment(
    {
      image: await viewOf(ports, device, "image", sources.image),
      director: await viewOf(ports, device, "director", sources.director),
    },
    {
      deviceId,
      hardwareId: state.hardwareId,
      floors: await ports.floors.read(device),
      now: effectiveNow(ports, state),
    },
  )
}

async function fetchPackage(
  ports: Ports,
  device: Device,
  file: OpenFile,
  contents: SealContents,
  judged: Judged,
  deployment: Deployment,
  job: JobContext,
): Promise<Slot> {
  const part = find(contents.packages, deployment.ociManifest, "package")
  const grant = find(contents.grants, deployment.grant, "grant")
  const own: SealContents = { ...contents, packages: [part], grants: [grant] }
  const trust = parseTrustedKeys(judged.packagers.map((pem) => ({ label: "packager", pem })))
  readSignatures(own, trust, ports.now())
  // Opening the grant now tells that the device can use what it is about to copy.
  wipeGranted(await openGrant(ports, file, own, device))
  const name = `${createDeviceId(device.recipient)}-${deployment.counter}.seal`
  const output = await ports.files.create(await ports.files.inFolder(ports.folders.slots, name), {
    replace: true,
    isSecret: true,
  })
  try {
    const writer = new SealWriter(output)
    const control = job.step("copy package", part.layer.size)
    for (const each of [part, grant]) await copyPart(writer, output, file, each, control)
    for (const bundle of contents.bundles) {
      const subject = [part, grant].find(({ digest }) => digest === bundle.subject)
      if (subject !== undefined) await attachBundle(writer, subject.manifestBlob.descriptor, bundle)
    }
    await addTrustDocuments(writer, await trustDocuments(file, contents, createDeviceId(device.recipient)))
    await writer.finish()
    job.signal.throwIfAborted()
    await output.commit()
  } finally {
    await output.discard()
  }
  return {
    release: deployment.release,
    releaseCounter: deployment.releaseCounter,
    counter: deployment.counter,
    package: deployment.ociManifest,
    packageBytes: part.manifestBlob.bytes.length,
    ring: deployment.ring,
    expires: deployment.expires,
    file: name,
    state: "waiting",
  }
}

/** What this device needs to judge the package again later, with no other file at hand. */
async function trustDocuments(
  file: OpenFile,
  contents: SealContents,
  deviceId: string,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const documents = new Map<string, Uint8Array>()
  for (const [name, { entry }] of contents.trust) {
    if (name.startsWith("devices/") && !name.startsWith(`devices/${deviceId}/`)) continue
    documents.set(name, Uint8Array.from(await file.read(entry.offset, entry.size)))
  }
  return documents
}

async function settle(
  ports: Ports,
  device: Device,
  state: DeviceState,
  detail: string,
): Promise<DeploymentStatus> {
  const next = { ...state, result: { what: "sync", code: null, detail } }
  await keepState(ports, device, next)
  return statusOf(ports, device, next)
}

function isSame(slot: Slot | null, { ociManifest, counter }: Deployment): boolean {
  return slot !== null && slot.package === ociManifest && slot.counter === counter
}

function find(parts: readonly SealPart[], digest: string, what: string): SealPart {
  const found = parts.find((part) => part.digest === digest)
  if (found === undefined)
    throw new AppError("SEAL_INCOMPLETE", `the ${what} the director names is not in the file`)
  return found
}
