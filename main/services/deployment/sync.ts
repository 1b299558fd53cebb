/** News for a device: trusted roots first, then what both repositories say, then the package itself, encrypted as it came. */
import { AppError, toAppError } from "../../contract/errors.ts"
import type {
  DeploymentStatus,
  Provision,
  Provisioned,
  Slot,
  SyncDevice,
} from "../../contract/schema/deployment.ts"
import type { Device } from "../../contract/schema/keys.ts"
import { parseTrustedKeys } from "../../core/attest/trust.ts"
import { sha256Digest } from "../../core/oci/manifest.ts"
import { readSealFile } from "../../core/oci/seal-file.ts"
import { createDeviceId } from "../../core/policy/device-id.ts"
import { ANY_HARDWARE, type Deployment, type Judged } from "../../core/policy/deployment.ts"
import { TufClient, type MetadataSource } from "../../core/tuf/client.ts"
import type { JobContext } from "../jobs.ts"
import type { Ports } from "../ports.ts"
import { deliverReceipts } from "./deliver.ts"
import { judge, judgeKept } from "./judge.ts"
import { newsInSeal, type News } from "./news.ts"
import { writeReceipt } from "./receipts.ts"
import { newsInRegistry } from "./registry-news.ts"
import { sealSources } from "./seal-source.ts"
import {
  activeSlot,
  findState,
  keepPublished,
  keepReleaseIndex,
  folderOf,
  keepState,
  raisedFloor,
  readState,
  statusOf,
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
    let clockFloor = new Date(0)
    for (const repository of ["image", "director"] as const) {
      const first = await sources[repository].read("1.root.json", Number.MAX_SAFE_INTEGER)
      if (first === null) throw new AppError("METADATA_MISSING", `${file.name} holds no ${repository} root`)
      const client = new TufClient(new Map([["root", first]]), ports.now())
      await client.followRoots(sources[repository])
      if (repository === "image" && (await isInItsTime(client, sources.image))) clockFloor = ports.now()
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
      clockFloor: clockFloor.toISOString(),
      result: { what: "provision", code: null, detail: "trust root pinned" },
      receiptKey: receiptKey.name,
      seen: null,
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

/**
 * Whether the clock is before the end of what was carried here. One that is not may be years ahead: as a floor it would lock the
 * device out of everything signed before that year.
 */
async function isInItsTime(client: TufClient, source: MetadataSource): Promise<boolean> {
  try {
    await client.refresh(source)
    return true
  } catch (error) {
    if (error instanceof AppError && UNDATED.has(error.code)) return false
    throw error
  }
}

const UNDATED: ReadonlySet<string> = new Set(["METADATA_EXPIRED", "METADATA_MISSING"])

/** A key of that name that is there already, in whatever hardware, is taken; then the device's own, made by `device init`. */
async function receiptKeyOf(ports: Ports, { name }: Device) {
  const wanted = `${name}-receipts`
  const keys = (await ports.keys.list()).filter(({ purpose }) => purpose === "signing")
  const found = keys.find((key) => key.name === wanted) ?? keys.find((key) => key.name === name)
  if (found !== undefined) return found
  const place = { provider: "software", passphrase: false } as const
  return ports.keys.create({ name: wanted, purpose: "signing", algorithm: "P-256", place })
}

/**
 * From a file that was carried here or from a repository. Throws the refusal of the first check that failed; what was verified
 * before it is kept.
 */
export async function syncDevice(
  ports: Ports,
  request: SyncDevice,
  job: JobContext,
): Promise<DeploymentStatus> {
  const device = await ports.devices.find(request.device)
  const state = await readState(ports, device)
  const { from } = request
  try {
    if (typeof from !== "string") {
      const repository = ports.registries.open(from, job.signal)
      const next = await take(
        ports,
        device,
        state,
        await newsInRegistry(ports, repository, device, state.seen),
        job,
      )
      await deliverReceipts(ports, device, repository)
      return await statusOf(ports, device, next)
    }
    const file = await ports.files.open(from)
    try {
      return await statusOf(
        ports,
        device,
        await take(ports, device, state, await newsInSeal(ports, file, device), job),
      )
    } finally {
      await file.close()
    }
  } catch (error) {
    const { code, message } = toAppError(error)
    if (code !== "CANCELLED" && code !== "INTERNAL")
      await keepState(ports, device, { ...state, result: { what: "sync", code, detail: message } })
    throw error
  }
}

async function take(
  ports: Ports,
  device: Device,
  state: DeviceState,
  news: News,
  job: JobContext,
): Promise<DeviceState> {
  // Unchanged metadata is judged again all the same: it may have expired meanwhile.
  const judged = news.isUnchanged
    ? await judgeKept(ports, device, state)
    : await judge(ports, device, state, news.sources)
  const clockFloor = raisedFloor(
    ports,
    state.clockFloor,
    judged.word.issuedAt,
    judged.deployment?.expires ?? judged.director.timestamp.signed.expires,
  )
  const { deployment } = judged
  if (judged.releaseIndex !== null) await keepReleaseIndex(ports, device, judged.releaseIndex)
  if (deployment !== null && !news.isUnchanged)
    await keepPublished(ports, device, news.sources.image, deployment.sha256)
  const known = { ...state, clockFloor, seen: news.seen ?? state.seen }
  if (deployment === null) return settle(ports, device, known, "nothing to run here")
  const held = await withNewWord(ports, device, known, deployment)
  if (held !== null) return held
  const incoming = await fetchPackage(ports, device, news, judged, deployment, job)
  return settle(ports, device, { ...known, incoming }, `${deployment.release} is ready to install`)
}

/** A new word about a package that is here already; `null` when it is about another one. */
async function withNewWord(
  ports: Ports,
  device: Device,
  state: DeviceState,
  deployment: Deployment,
): Promise<DeviceState | null> {
  const { release, releaseCounter, counter, ring, expires } = deployment
  const said = { release, releaseCounter, counter, ring, expires, grant: deployment.grant }
  const slot = activeSlot(state)
  const isNew = (held: Slot) => held.counter !== counter || held.expires !== expires
  if (state.active !== null && slot !== null && isHeld(slot, deployment)) {
    if (!isNew(slot)) return settle(ports, device, { ...state, incoming: null }, "nothing new")
    const next = { ...slot, ...said }
    if (slot.state === "good")
      await ports.floors.raise(device, { deployment: counter, release: releaseCounter })
    const kept = await settle(
      ports,
      device,
      { ...state, incoming: null, slots: { ...state.slots, [state.active]: next } },
      `${release} goes on`,
    )
    if (slot.state === "good" && slot.release !== release)
      await writeReceipt(ports, device, kept, next, "committed", null)
    return kept
  }
  const { incoming } = state
  if (incoming === null || !isHeld(incoming, deployment)) return null
  const detail = isNew(incoming) ? `${release} is ready to install` : "nothing new"
  return settle(ports, device, { ...state, incoming: { ...incoming, ...said } }, detail)
}

async function fetchPackage(
  ports: Ports,
  device: Device,
  news: News,
  judged: Judged,
  deployment: Deployment,
  job: JobContext,
): Promise<Slot> {
  const trust = parseTrustedKeys(judged.packagers.map((pem) => ({ label: "packager", pem })))
  const name = `${createDeviceId(device.recipient)}-${deployment.counter}.seal`
  const output = await ports.files.create(await ports.files.inFolder(ports.folders.slots, name), {
    replace: true,
    isSecret: true,
  })
  try {
    const packageBytes = await news.copy(output, { deployment, device, trust }, job)
    job.signal.throwIfAborted()
    await output.commit()
    return {
      release: deployment.release,
      releaseCounter: deployment.releaseCounter,
      counter: deployment.counter,
      package: deployment.ociManifest,
      packageBytes,
      grant: deployment.grant,
      ring: deployment.ring,
      expires: deployment.expires,
      file: name,
      state: "waiting",
    }
  } finally {
    await output.discard()
  }
}

async function settle(
  ports: Ports,
  device: Device,
  state: DeviceState,
  detail: string,
): Promise<DeviceState> {
  const next = { ...state, result: { what: "sync", code: null, detail } }
  await keepState(ports, device, next)
  return next
}

function isHeld(slot: Slot, { ociManifest, grant }: Deployment): boolean {
  return slot.package === ociManifest && (slot.grant === undefined || slot.grant === grant)
}
