/** Public keys as TUF writes them (specification 4.2), with who holds them and how well, in fields of our own. */
import { canonicalize } from "@tufjs/canonical-json"
import { createHash } from "node:crypto"
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { assuranceSchema } from "../../contract/schema/base.ts"
import { parseVerificationKey } from "../attest/verification-key.ts"
import { toUtf8 } from "../bytes/bytes.ts"

/** A key of the trust root. Two keys of one person count once where different people are asked for. */
export interface TrustKey {
  readonly keyId: string
  /** SPKI PEM of a P-256 key. */
  readonly pem: string
  readonly person: string
  readonly assurance: z.infer<typeof assuranceSchema>
}

const SCHEME = "ecdsa-sha2-nistp256"
const PERSON = "x-sealwright-person"
const ASSURANCE = "x-sealwright-assurance"

export const tufKeySchema = z.looseObject({
  keytype: z.literal("ecdsa"),
  scheme: z.literal(SCHEME),
  keyval: z.looseObject({ public: z.string() }),
  [PERSON]: z.string().min(1).max(64),
  [ASSURANCE]: assuranceSchema,
})
type TufKey = z.infer<typeof tufKeySchema>

/** Throws KEY_UNREADABLE and KEY_PURPOSE for a PEM that is no public P-256 key. */
export function trustKey(pem: string, person: string, assurance: TrustKey["assurance"]): TrustKey {
  const verification = parseVerificationKey(pem)
  if (verification.hash !== "sha256")
    throw new AppError(
      "KEY_PURPOSE",
      `keys of a trust root are on P-256, this one wants ${verification.hash}`,
    )
  // One spelling for one key, so that one key has one keyid.
  const text = verification.key.export({ type: "spki", format: "pem" }).toString()
  return { keyId: keyIdOf(text), pem: text, person, assurance }
}

export function toTufKey({ pem, person, assurance }: TrustKey): TufKey {
  return { ...bareKey(pem), [PERSON]: person, [ASSURANCE]: assurance }
}

export function fromTufKey(keyId: string, key: TufKey): TrustKey {
  return { keyId, pem: key.keyval.public, person: key[PERSON], assurance: key[ASSURANCE] }
}

/** By convention the SHA-256 of the canonical key object; what we add to it is left out, so that a key keeps its id. */
function keyIdOf(pem: string): string {
  return createHash("sha256")
    .update(toUtf8(canonicalize(bareKey(pem))))
    .digest("hex")
}

function bareKey(pem: string) {
  return { keytype: "ecdsa", scheme: SCHEME, keyval: { public: pem } } as const
}
