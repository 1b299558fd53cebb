/** Which grant is for which device: known only to the workspace that issued it. */
import { z } from "zod"
import { toUtf8 } from "../core/bytes/bytes.ts"
import type { Digest } from "../core/oci/manifest.ts"
import { policySchema } from "../core/policy/policy.ts"
import { readJson } from "../core/policy/release.ts"
import type { Ports } from "./ports.ts"

const issuedSchema = z.array(
  z.strictObject({
    /** Digest of the grant's manifest. */
    grant: z.string(),
    device: z.string(),
    policy: policySchema,
    /** Root of the model as this device assembles it (FORMAT 7.1), hex; lists from before it was kept lack it. */
    model: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
  }),
)
export type IssuedGrant = z.infer<typeof issuedSchema>[number]

export async function keepIssued(
  ports: Ports,
  packageDigest: Digest,
  grants: readonly IssuedGrant[],
): Promise<void> {
  await ports.documents.write(nameOf(packageDigest), toUtf8(JSON.stringify(grants)))
}

/** Empty for a package of another workspace. */
export async function issuedFor(ports: Ports, packageDigest: Digest): Promise<readonly IssuedGrant[]> {
  const bytes = await ports.documents.read(nameOf(packageDigest))
  return bytes === null ? [] : readJson(issuedSchema, bytes, "the list of grants")
}

function nameOf(digest: Digest): string {
  return `grants/${digest.slice("sha256:".length)}.json`
}
