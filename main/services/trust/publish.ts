/** Making signed documents part of the repositories: nothing is published that a client would refuse. */
import { AppError } from "../../contract/errors.ts"
import { parseMetadata } from "../../core/tuf/metadata.ts"
import { toSnapshot, toTimestamp, type Listed } from "../../core/tuf/fresh.ts"
import { expiryAfter, readPlan, type TrustPlan } from "../../core/tuf/plan.ts"
import { toMetadataBytes } from "../../core/tuf/signing.ts"
import { TufClient } from "../../core/tuf/client.ts"
import type { Ports } from "../ports.ts"
import { toBytes, type Draft } from "./draft.ts"
import { ownKeys, signAlone } from "./own-keys.ts"
import { Repository } from "./repository.ts"

/** Roles the image repository's snapshot lists. */
const IMAGE_ROLES = ["targets", "release-manager"] as const

export function imageRepository(ports: Ports): Repository {
  return new Repository(ports.documents, "tuf/image")
}

export function directorRepository(ports: Ports): Repository {
  return new Repository(ports.documents, "tuf/director")
}

/** The plan that is in force, from the newest documents. Throws TRUST_ABSENT. */
export async function currentPlan(ports: Ports): Promise<TrustPlan> {
  const found = await findPlan(ports)
  if (found === null) throw new AppError("TRUST_ABSENT", "this workspace has no trust root")
  return found
}

export async function findPlan(ports: Ports): Promise<TrustPlan | null> {
  const imageRoot = (await imageRepository(ports).roots()).at(-1)
  const directorRoot = (await directorRepository(ports).roots()).at(-1)
  const targets = await imageRepository(ports).latest("targets")
  if (imageRoot === undefined || directorRoot === undefined || targets === null) return null
  return readPlan({ imageRoot, directorRoot, targets: targets.bytes })
}

/** Publishes a complete draft: checks everything as a client would, then writes, the timestamp last. */
export async function publishDraft(ports: Ports, draft: Draft): Promise<void> {
  const image = new Map<string, Uint8Array>()
  const director = new Map<string, Uint8Array>()
  for (const document of draft.documents) {
    const target = document.repository === "image" ? image : director
    target.set(`${document.version}.${document.role}.json`, toBytes(document))
  }
  const now = ports.now()
  await checkRoots(directorRepository(ports), director, now)
  const plan = await planWith(ports, image, director)
  for (const [name, bytes] of await freshImage(ports, plan, image)) image.set(name, bytes)
  const client = await imageRepository(ports).check(now, image)
  const releases = client.snapshot.signed.meta["release-manager.json"]
  if (releases !== undefined)
    await client.loadTargets("release-manager", "targets", imageRepository(ports).source(image))
  await writeAll(directorRepository(ports), director)
  await writeAll(imageRepository(ports), image)
}

/** New snapshot and timestamp of the image repository, so that devices can go on without news. */
export async function refreshImage(ports: Ports): Promise<void> {
  const fresh = await freshImage(ports, await currentPlan(ports), new Map())
  await imageRepository(ports).check(ports.now(), fresh)
  await writeAll(imageRepository(ports), fresh)
}

async function planWith(
  ports: Ports,
  image: ReadonlyMap<string, Uint8Array>,
  director: ReadonlyMap<string, Uint8Array>,
): Promise<TrustPlan> {
  const imageRoot = newest(image, "root") ?? (await imageRepository(ports).latest("root"))
  const directorRoot = newest(director, "root") ?? (await directorRepository(ports).latest("root"))
  const targets = newest(image, "targets") ?? (await imageRepository(ports).latest("targets"))
  if (imageRoot === null || directorRoot === null || targets === null)
    throw new AppError("TRUST_ABSENT", "this workspace has no trust root")
  return readPlan({ imageRoot: imageRoot.bytes, directorRoot: directorRoot.bytes, targets: targets.bytes })
}

async function freshImage(
  ports: Ports,
  plan: TrustPlan,
  more: ReadonlyMap<string, Uint8Array>,
): Promise<Map<string, Uint8Array>> {
  const repository = imageRepository(ports)
  const listed: Listed[] = []
  for (const role of IMAGE_ROLES) {
    const document = newest(more, role) ?? (await repository.latest(role))
    if (document !== null) listed.push({ role, ...document })
  }
  const version = (await repository.timestampVersion()) + 1
  const expires = expiryAfter(ports.now(), plan.offlineDays)
  const own = await ownKeys(ports)
  const snapshot = toSnapshot(listed, version, expires)
  const snapshotBytes = toMetadataBytes(snapshot, await signAlone(ports, own, plan.roles.online, snapshot))
  const timestamp = toTimestamp({ version, bytes: snapshotBytes }, version, expires)
  const signatures = await signAlone(ports, own, plan.roles.online, timestamp)
  return new Map([
    [`${version}.snapshot.json`, snapshotBytes],
    ["timestamp.json", toMetadataBytes(timestamp, signatures)],
  ])
}

/** The director's roots have no timestamp of their own: each device has one. */
async function checkRoots(
  repository: Repository,
  more: ReadonlyMap<string, Uint8Array>,
  now: Date,
): Promise<void> {
  const source = repository.source(more)
  const first = await source.read("1.root.json", Number.MAX_SAFE_INTEGER)
  await new TufClient(first === null ? new Map() : new Map([["root", first]]), now).followRoots(source)
}

function newest(
  documents: ReadonlyMap<string, Uint8Array>,
  role: string,
): { readonly version: number; readonly bytes: Uint8Array } | null {
  const found = [...documents].find(([name]) => name.endsWith(`.${role}.json`))
  return found === undefined ? null : { version: Number(found[0].split(".")[0]), bytes: found[1] }
}

/** In the order of a reader's trust, the other way round: whoever reads in between sees the old or the new, never half. */
async function writeAll(repository: Repository, documents: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const last = documents.get("timestamp.json")
  for (const [name, bytes] of documents) if (name !== "timestamp.json") await repository.write(name, bytes)
  if (last !== undefined) await repository.write("timestamp.json", last)
}

/** Until when devices can live with the roots and the image repository as they are; `null` without a timestamp. */
export async function freshUntil(ports: Ports): Promise<string | null> {
  const image = imageRepository(ports)
  const bytes = await image.read("timestamp.json")
  if (bytes === null) return null
  const ends = [parseMetadata("timestamp", bytes, "the timestamp").signed.expires]
  for (const [repository, kind, role] of [
    [image, "root", "root"],
    [directorRepository(ports), "root", "root"],
    [image, "targets", "targets"],
    [image, "targets", "release-manager"],
  ] as const) {
    const latest = await repository.latest(role)
    if (latest !== null) ends.push(parseMetadata(kind, latest.bytes, role).signed.expires)
  }
  return ends.sort()[0] ?? null
}

/**
 * Signs snapshot and timestamp again where they would end before `until` and the keys are here: a word to devices holds no
 * longer than the releases it names. Returns until when both hold.
 */
export async function keepFresh(ports: Ports, plan: TrustPlan, until: string): Promise<string> {
  const found = await freshUntil(ports)
  if (found !== null && found >= until) return until
  const own = await ownKeys(ports)
  const { keys, threshold } = plan.roles.online
  if (keys.filter(({ keyId }) => own.has(keyId)).length >= threshold) await refreshImage(ports)
  return [until, (await freshUntil(ports)) ?? until].sort()[0] ?? until
}
