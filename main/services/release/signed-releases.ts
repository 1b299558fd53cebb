/** What the release managers signed: the releases and the packages they took back. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { matchSchema, releasePath, REVOKED, revokedSchema } from "../../core/policy/release.ts"
import { parseMetadata } from "../../core/tuf/metadata.ts"
import { common, releasesExpiry, type Signed, type TrustPlan } from "../../core/tuf/plan.ts"
import type { Ports } from "../ports.ts"
import { describeDraft, documentOf, draftOf, needOf, readDraft, type Draft } from "../trust/draft.ts"
import { start } from "../trust/change.ts"
import { imageRepository } from "../trust/publish.ts"
import type { Pending } from "../../contract/schema/trust.ts"

const targetSchema = z.looseObject({
  length: z.number(),
  hashes: z.looseObject({ sha256: z.string() }),
  custom: matchSchema,
})
const signedSchema = z.looseObject({
  version: z.number(),
  targets: z.record(z.string(), targetSchema),
  [REVOKED]: revokedSchema,
})

export interface SignedRelease extends z.infer<typeof matchSchema> {
  readonly name: string
  readonly length: number
  readonly sha256: string
}

export interface SignedReleases {
  readonly version: number
  readonly releases: readonly SignedRelease[]
  readonly revoked: readonly string[]
}

export async function signedReleases(ports: Ports): Promise<SignedReleases> {
  const latest = await imageRepository(ports).latest("release-manager")
  if (latest === null) return { version: 0, releases: [], revoked: [] }
  const signed = signedSchema.parse(parseMetadata("targets", latest.bytes, "the releases").signed.toJSON())
  const prefix = releasePath("")
  return {
    version: latest.version,
    revoked: signed[REVOKED],
    releases: Object.entries(signed.targets)
      .map(
        ([
          path,
          {
            length,
            hashes,
            custom: { releaseCounter, hardwareIds },
          },
        ]) => ({
          name: path.slice(prefix.length),
          length,
          sha256: hashes.sha256,
          releaseCounter,
          hardwareIds,
        }),
      )
      .sort((a, b) => a.releaseCounter - b.releaseCounter),
  }
}

/** The counter the next release gets. */
export function nextCounter({ releases }: SignedReleases): number {
  return Math.max(0, ...releases.map(({ releaseCounter }) => releaseCounter)) + 1
}

/** Has the managers sign a new list. Throws TRUST_INCOMPLETE when more of them must sign than are here. */
export async function signReleases(
  ports: Ports,
  plan: TrustPlan,
  title: string,
  next: SignedReleases,
): Promise<void> {
  const isPublished = await start(ports, draftOfReleases(ports, plan, title, next))
  if (isPublished) return
  throw new AppError(
    "TRUST_INCOMPLETE",
    `"${title}" waits for signatures of release managers: do this again once they are there`,
  )
}

export async function pendingFor(ports: Ports, title: string): Promise<Pending | null> {
  const draft = await readDraft(ports)
  return draft === null || draft.title !== title ? null : describeDraft(draft)
}

function draftOfReleases(ports: Ports, plan: TrustPlan, title: string, next: SignedReleases): Draft {
  const signed: Signed = {
    _type: "targets",
    ...common(next.version + 1, releasesExpiry(plan, ports.now())),
    targets: Object.fromEntries(
      next.releases.map(({ name, length, sha256, releaseCounter, hardwareIds }) => [
        releasePath(name),
        { length, hashes: { sha256 }, custom: { releaseCounter, hardwareIds } },
      ]),
    ),
    [REVOKED]: next.revoked,
  }
  const managers = needOf("release-manager", plan.roles["release-manager"])
  return draftOf(title, [documentOf("image", "release-manager", signed, [managers])])
}
