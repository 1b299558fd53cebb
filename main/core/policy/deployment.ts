/**
 * What a device may run, from both repositories (docs/FORMAT.md 10.4): Uptane's full verification. The director says which
 * release, the release managers say that it is one; where the two differ, or a counter is below its floor, nothing is used.
 */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { checkTargetBytes, TufClient, type MetadataSource } from "../tuf/client.ts"
import { common, type Signed } from "../tuf/plan.ts"
import { policySchema } from "./policy.ts"
import { matchSchema, readReleaseIndex, releasePath, REVOKED, revokedSchema } from "./release.ts"

const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/)

/** Said of every device, also of one that is to run nothing. */
const FIELD = "x-sealwright-deployment"
const headSchema = z.strictObject({
  deviceId: z.string().regex(/^[0-9a-f]{32}$/),
  /** Grows with every word of the director to this device. */
  counter: z.int().positive(),
  ring: z.string().max(64),
  issuedAt: z.iso.datetime(),
})
export type DeploymentHead = z.infer<typeof headSchema>

export const deploymentTargetSchema = z.strictObject({
  ...matchSchema.shape,
  deviceId: headSchema.shape.deviceId,
  /** The package, which is in the release's index. */
  ociManifest: digestSchema,
  grant: digestSchema,
  /** Without the firewall: that is for the device alone, and canonical JSON knows no fractions. */
  policy: policySchema.omit({ firewall: true }).nullable(),
  encryption: z.strictObject({ format: z.literal("age-encryption.org/v1"), recipient: z.string().max(8192) }),
})
export type DeploymentTarget = z.infer<typeof deploymentTargetSchema>

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

export interface Deployment extends DeploymentTarget, DeploymentHead {
  readonly release: string
  /** Until when this may be believed without news. */
  readonly expires: string
}

export interface Judged {
  readonly image: TufClient
  readonly director: TufClient
  readonly head: DeploymentHead
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
  const head = read(headSchema, targets.unrecognizedFields[FIELD], "the deployment")
  if (head.deviceId !== device.deviceId)
    throw new AppError("DEPLOYMENT_NOT_FOR_DEVICE", "the director's word is for another device")
  checkFloor("deployment", head.counter, device.floors.deployment)

  const image = await refreshed(views.image, device.now)
  const packagers = packagersOf(image)
  const entries = Object.entries(targets.targets)
  if (entries.length > 1)
    throw new AppError("DEPLOYMENT_MISMATCH", "the director names more than one release for one device")
  const [entry] = entries
  if (entry === undefined)
    return { image, director, head, deployment: null, packagers, releaseIndex: null, revoked: [] }
  const [path, target] = entry
  const custom = read(deploymentTargetSchema, target.custom, "the director's target")
  if (custom.deviceId !== device.deviceId)
    throw new AppError("DEPLOYMENT_NOT_FOR_DEVICE", "the director's target is for another device")
  const known = await image.findTarget(path, views.image.source)
  await views.image.keep(image.trusted)
  if (known === null)
    throw new AppError(
      "DEPLOYMENT_MISMATCH",
      "the release managers do not know the release the director names",
    )
  const match = read(matchSchema, known.custom, "the release")
  const isAlike =
    known.length === target.length &&
    known.hashes["sha256"] !== undefined &&
    known.hashes["sha256"] === target.hashes["sha256"] &&
    match.releaseCounter === custom.releaseCounter &&
    match.hardwareIds.join(" ") === custom.hardwareIds.join(" ")
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
  checkFloor("release", custom.releaseCounter, device.floors.release)
  const releases = image.targetsOf("release-manager")
  const revoked = read(revokedSchema, releases?.unrecognizedFields[REVOKED], "the list of revoked packages")
  if (revoked.includes(custom.ociManifest))
    throw new AppError("PACKAGE_REVOKED", "the release managers revoked this package")
  const index = await views.image.source.read(targetFile(known), known.length)
  if (index === null) throw new AppError("METADATA_MISSING", "the index of the release is missing")
  checkTargetBytes(known, index)
  if (!readReleaseIndex(index).includes(custom.ociManifest))
    throw new AppError("DEPLOYMENT_MISMATCH", "the package is not in the release the director names")
  return {
    image,
    director,
    head,
    packagers,
    revoked,
    releaseIndex: index,
    deployment: {
      ...custom,
      ...head,
      release: path.slice(releasePath("").length),
      expires: earliest(director, image),
    },
  }
}

/** A release for whatever hardware there is. */
export const ANY_HARDWARE = "any"

/** Where a source has the bytes of a target (consistent snapshot: the hash is part of the name). */
export function targetFile({ hashes }: { readonly hashes: Readonly<Record<string, string>> }): string {
  return `targets/${hashes["sha256"] ?? ""}`
}

/** The director's word to one device; `target` null tells it to run nothing. */
export function toDeployment(
  head: DeploymentHead,
  target: {
    readonly release: string
    readonly length: number
    readonly sha256: string
    readonly custom: DeploymentTarget
  } | null,
  version: number,
  expires: string,
): Signed {
  return {
    _type: "targets",
    ...common(version, expires),
    targets:
      target === null
        ? {}
        : {
            [releasePath(target.release)]: {
              length: target.length,
              hashes: { sha256: target.sha256 },
              custom: target.custom,
            },
          },
    [FIELD]: head,
  }
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
