/**
 * What a device may run, from both repositories (docs/FORMAT.md 10.4): Uptane's full verification. The director says which
 * release, the release managers say that it is one; where the two differ, or a counter is below its floor, nothing is used.
 */
import type { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { checkTargetBytes, TufClient, type MetadataSource } from "../tuf/client.ts"
import { matchSchema, readReleaseIndex, releasePath, REVOKED, revokedSchema } from "./release.ts"
import { readWords, type Run, type Word } from "./words.ts"

export interface DeviceFacts {
  readonly deviceId: string
  readonly hardwareId: string
  readonly floors: Floors
  /** The device's own idea of the time, never earlier than what it knows has passed. */
  readonly now: Date
}

/** Lowest counters a device may still accept. */
export interface Floors {
  readonly deployment: number
  readonly release: number
}

export interface Deployment extends Run, Omit<Word, "run"> {
  /** Until when this may be believed without news. */
  readonly expires: string
}

export interface Judged {
  readonly image: TufClient
  readonly director: TufClient
  readonly word: Word
  /** `null` when the device is to run nothing. */
  readonly deployment: Deployment | null
  /** Public keys (PEM) of the packagers, whose signatures packages and grants carry. */
  readonly packagers: readonly string[]
  /** The index of the release, verified; a device keeps it with the metadata. */
  readonly releaseIndex: Uint8Array | null
  /** Packages the release managers took back. */
  readonly revoked: readonly string[]
}

/** A repository as a device has it: what it kept, and what it was given. */
export interface RepositoryView {
  readonly trusted: ReadonlyMap<string, Uint8Array>
  readonly source: MetadataSource
  /** Called with what may be kept, also when the verdict is a refusal. */
  keep(trusted: ReadonlyMap<string, Uint8Array>): Promise<void>
}

/** Director first, then image (Uptane 2.1, full verification). Throws the refusal whose code names the attack. */
export async function judgeDeployment(
  views: { readonly image: RepositoryView; readonly director: RepositoryView },
  device: DeviceFacts,
): Promise<Judged> {
  const director = await refreshed(views.director, device.now)
  const targets = director.targetsOf("targets")
  if (targets === null) throw new AppError("METADATA_MISSING", "the director's targets are missing")
  const word = readWords(targets).get(device.deviceId)
  if (word === undefined)
    throw new AppError("DEPLOYMENT_NOT_FOR_DEVICE", "the director's word is to other devices")
  checkFloor("deployment", word.counter, device.floors.deployment)

  const image = await refreshed(views.image, device.now)
  const packagers = packagersOf(image)
  const { run } = word
  if (run === null)
    return { image, director, word, deployment: null, packagers, releaseIndex: null, revoked: [] }
  const known = await image.findTarget(releasePath(run.release), views.image.source)
  await views.image.keep(image.trusted)
  if (known === null)
    throw new AppError(
      "DEPLOYMENT_MISMATCH",
      "the release managers do not know the release the director names",
    )
  const match = read(matchSchema, known.custom, "the release")
  const isAlike =
    known.length === run.length &&
    known.hashes["sha256"] !== undefined &&
    known.hashes["sha256"] === run.sha256 &&
    match.releaseCounter === run.releaseCounter &&
    match.hardwareIds.join(" ") === run.hardwareIds.join(" ")
  if (!isAlike)
    throw new AppError(
      "DEPLOYMENT_MISMATCH",
      "director and release managers describe the release differently",
    )
  if (!match.hardwareIds.includes(device.hardwareId) && !match.hardwareIds.includes(ANY_HARDWARE))
    throw new AppError(
      "DEPLOYMENT_NOT_FOR_DEVICE",
      `the release is for ${match.hardwareIds.join(", ")}, this device is ${device.hardwareId}`,
    )
  checkFloor("release", run.releaseCounter, device.floors.release)
  const releases = image.targetsOf("release-manager")
  const revoked = read(revokedSchema, releases?.unrecognizedFields[REVOKED], "the list of revoked packages")
  if (revoked.includes(run.ociManifest))
    throw new AppError("PACKAGE_REVOKED", "the release managers revoked this package")
  const index = await views.image.source.read(targetFile(known), known.length)
  if (index === null) throw new AppError("METADATA_MISSING", "the index of the release is missing")
  checkTargetBytes(known, index)
  if (!readReleaseIndex(index).includes(run.ociManifest))
    throw new AppError("DEPLOYMENT_MISMATCH", "the package is not in the release the director names")
  return {
    image,
    director,
    word,
    packagers,
    revoked,
    releaseIndex: index,
    deployment: { ...word, ...run, expires: earliest(director, image) },
  }
}

/** A release for whatever hardware there is. */
export const ANY_HARDWARE = "any"

/** Where a source has the bytes of a target (consistent snapshot: the hash is part of the name). */
export function targetFile({ hashes }: { readonly hashes: Readonly<Record<string, string>> }): string {
  return `targets/${hashes["sha256"] ?? ""}`
}

async function refreshed(view: RepositoryView, now: Date): Promise<TufClient> {
  const client = new TufClient(view.trusted, now)
  try {
    await client.refresh(view.source)
    return client
  } finally {
    await view.keep(client.trusted)
  }
}

function checkFloor(name: string, counter: number, floor: number): void {
  if (counter < floor)
    throw new AppError("DEPLOYMENT_REPLAYED", `the ${name} counter is ${counter}, the device is at ${floor}`)
}

function packagersOf(image: TufClient): readonly string[] {
  const delegations = image.targetsOf("targets")?.delegations
  const ids = delegations?.roles?.["packager"]?.keyIDs ?? []
  return ids.flatMap((id) => delegations?.keys[id]?.keyVal["public"] ?? [])
}

function earliest(...clients: readonly TufClient[]): string {
  const dates = clients.flatMap((client) => [
    client.root.signed.expires,
    client.timestamp.signed.expires,
    client.snapshot.signed.expires,
    client.targetsOf("targets")?.expires ?? "",
    client.targetsOf("release-manager")?.expires ?? "",
  ])
  return dates.filter((date) => date !== "").sort()[0] ?? ""
}

function read<T>(schema: z.ZodType<T>, json: unknown, what: string): T {
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new AppError(
    "METADATA_MALFORMED",
    `${what} is not valid: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
  )
}
