/** Tags under which grants lie in `NAME/grants` (docs/FORMAT.md 3.5): nobody who lists them learns whom they are for. */
import { createHash, createHmac } from "node:crypto"
import { base32 } from "@scure/base"
import { toUtf8 } from "../bytes/bytes.ts"
import type { Digest } from "./manifest.ts"

const TAG_CHARACTERS = 26
const GRANT_TAG = /^[A-Z2-7]{26}$/

/** Secret of one release, from the secret of a workspace and what the release's tag points to. 32 bytes; the caller wipes it. */
export function releaseSecret(workspaceSecret: Uint8Array, release: Digest): Uint8Array {
  return createHmac("sha256", workspaceSecret).update(`sealwright/release/v1\n${release}`).digest()
}

/** 130 bits of HMAC-SHA-256 over the 32 bytes that stand for the grant: the thumbprint of its device, or its own digest. */
export function grantTag(secret: Uint8Array, stands: Uint8Array): string {
  const mac = createHmac("sha256", secret).update(stands).digest()
  return base32.encode(mac).slice(0, TAG_CHARACTERS)
}

/** SHA-256 of a device's recipient text. */
export function deviceThumbprint(recipient: string): Uint8Array {
  return createHash("sha256").update(toUtf8(recipient)).digest()
}

export function isGrantTag(tag: string): boolean {
  return GRANT_TAG.test(tag)
}
