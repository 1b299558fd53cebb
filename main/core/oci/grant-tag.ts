/** Tags under which grants lie in `NAME/grants` (docs/FORMAT.md 3.5): nobody who lists them learns whom they are for. */
import { createHmac } from "node:crypto"
import { base32 } from "@scure/base"
import type { Digest } from "./manifest.ts"

const TAG_CHARACTERS = 26
const GRANT_TAG = /^[A-Z2-7]{26}$/

/** Secret of one release, from the secret of a workspace and what the release's tag points to. 32 bytes; the caller wipes it. */
export function releaseSecret(workspaceSecret: Uint8Array, release: Digest): Uint8Array {
  return createHmac("sha256", workspaceSecret).update(`sealwright/release/v1\n${release}`).digest()
}

/** 130 bits of HMAC-SHA-256 over the 32 bytes that stand for the grant. */
export function grantTag(secret: Uint8Array, grant: Digest): string {
  const mac = createHmac("sha256", secret)
    .update(Buffer.from(grant.slice("sha256:".length), "hex"))
    .digest()
  return base32.encode(mac).slice(0, TAG_CHARACTERS)
}

export function isGrantTag(tag: string): boolean {
  return GRANT_TAG.test(tag)
}
