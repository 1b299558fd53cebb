/** The trust root as people look at it. */
import { roleSchema, type Trust } from "../../contract/schema/trust.ts"
import { sha256Digest } from "../../core/oci/manifest.ts"
import { parseMetadata } from "../../core/tuf/metadata.ts"
import type { Ports } from "../ports.ts"
import { describeDraft, readDraft } from "./draft.ts"
import { ownKeys } from "./own-keys.ts"
import { directorRepository, findPlan, freshUntil, imageRepository } from "./publish.ts"
import type { Repository } from "./repository.ts"

export async function showTrust(ports: Ports): Promise<Trust> {
  const plan = await findPlan(ports)
  const draft = await readDraft(ports)
  const own = await ownKeys(ports)
  const roots =
    plan === null
      ? null
      : {
          image: await describeRoot(imageRepository(ports)),
          director: await describeRoot(directorRepository(ports)),
        }
  return {
    roots,
    roles:
      plan === null
        ? []
        : roleSchema.options.map((role) => ({
            role,
            threshold: plan.roles[role].threshold,
            assurance: plan.roles[role].assurance,
            keys: plan.roles[role].keys.map(({ keyId, person, assurance }) => ({
              keyId,
              person,
              assurance,
              here: own.get(keyId)?.name ?? null,
            })),
          })),
    gates: plan === null ? null : { ...plan.gates },
    offlineDays: plan?.offlineDays ?? null,
    freshUntil: await freshUntil(ports),
    pending: draft === null ? null : describeDraft(draft),
  }
}

async function describeRoot(repository: Repository) {
  const bytes = (await repository.roots()).at(-1) ?? new Uint8Array(0)
  const { version, expires } = parseMetadata("root", bytes, "the root").signed
  return { version, expires, sha256: sha256Digest(bytes).slice("sha256:".length) }
}
